"""What each simulated source can show: its canvas, its ring of actions, its tools and its words.

A video walks the ring forwards or backwards. One frame shows one action and so leaves two candidates for what comes
next; two consecutive actions tell.
"""

from __future__ import annotations

from typing import NamedTuple

from medvidbench_hf.sample import Canvas

Colour = tuple[int, int, int]


class Step(NamedTuple):
    """One action: its label, the tool that does it, how the tool moves, what it leaves, its light, its two captions.

    tint: factors on red, green and blue while the action lasts.
    """

    label: str
    tool: str
    motion: str
    effect: str
    tint: tuple[float, float, float]
    gpt: str
    gemini: str


class World(NamedTuple):
    """A source's parameters. Lengths are canvas pixels, periods seconds, frame counts inclusive ranges."""

    domain: str
    canvas: Canvas
    stored_px: int  # longer side of a clip file
    ring: tuple[Step, ...] = ()
    helper: str = ""  # the tool or hand that is there all the time, beside the tool of the action
    frames: tuple[int, int] = (16, 32)
    steps: tuple[int, int] = (3, 5)  # actions in a clip
    unevenness: float = 1.0  # 0: actions equally long; larger: lengths differ more
    p_gap: float = 0.0  # nothing happens between two actions
    p_split: float = 0.0  # an action pauses and goes on
    head_px: float = 100.0  # length of a tool's head
    reach_px: float = 30.0  # how far a tool moves about its place
    place_y: tuple[float, float] = (0.0, 1.0)  # where tools work, shares of the canvas height
    period_s: tuple[float, float] = (6.0, 12.0)
    sway_px: float = 4.0
    procedure: str = ""
    scene: str = ""
    actor: str = ""


_LAPAROSCOPY = (
    Step(
        "preparation",
        "probe",
        "push",
        "dimple",
        (1.00, 1.00, 0.85),
        "The yellow probe presses on the tissue and a dimple forms under it.",
        "Using the probe, the operator pushes gently and the surface gives way.",
    ),
    Step(
        "dissection",
        "hook",
        "sweep",
        "groove",
        (1.09, 0.91, 0.82),
        "The orange hook sweeps across the tissue and opens a dark groove.",
        "Using the hook, the operator separates layers and thin smoke rises.",
    ),
    Step(
        "clipping",
        "clip applier",
        "hold",
        "clips",
        (0.85, 0.93, 1.14),
        "The blue clip applier closes and leaves bright clips in a row.",
        "Using the clip applier, the operator places one clip after another.",
    ),
    Step(
        "cutting",
        "scissors",
        "saw",
        "slit",
        (1.09, 0.88, 1.04),
        "The magenta scissors open and close and the cut behind them grows.",
        "Using the scissors, the operator cuts along a line.",
    ),
    Step(
        "coagulation",
        "bipolar forceps",
        "tap",
        "char",
        (0.88, 1.10, 0.85),
        "The green bipolar forceps tap the tissue, which turns dark under heavy smoke.",
        "Using the bipolar forceps, the operator seals bleeding points with sparks.",
    ),
    Step(
        "packaging",
        "specimen bag",
        "circle",
        "lump",
        (0.85, 1.04, 1.06),
        "The cyan specimen bag circles and takes up a yellow specimen.",
        "Using the specimen bag, the operator collects the specimen.",
    ),
    Step(
        "cleaning",
        "irrigator",
        "zigzag",
        "water",
        (1.04, 1.04, 1.10),
        "The white irrigator moves to and fro and water spreads in drops.",
        "Using the irrigator, the operator rinses the field until it is wet.",
    ),
)

_OPEN = (
    Step(
        "incision",
        "scalpel",
        "sweep",
        "incision",
        (0.90, 1.03, 1.09),
        "The scalpel with the cyan handle draws a red line through the tissue.",
        "With the scalpel, the surgeon opens the tissue and blood beads along the cut.",
    ),
    Step(
        "retraction",
        "retractor",
        "push",
        "pull",
        (1.06, 1.03, 0.85),
        "The golden retractor pulls the wound edge aside.",
        "With the retractor, the surgeon keeps the wound open.",
    ),
    Step(
        "trimming",
        "scissors",
        "saw",
        "slit",
        (1.09, 0.90, 1.04),
        "The magenta scissors trim tissue in short cuts.",
        "With the scissors, the surgeon shortens loose tissue.",
    ),
    Step(
        "cauterization",
        "cautery pencil",
        "tap",
        "smoke",
        (0.88, 0.91, 1.14),
        "The blue cautery pencil taps the tissue and smoke rises from the spot.",
        "With the cautery pencil, the surgeon seals small vessels.",
    ),
    Step(
        "suturing",
        "needle holder",
        "circle",
        "stitches",
        (0.90, 1.10, 0.86),
        "The green needle holder turns and leaves dark stitches in a row.",
        "With the needle holder, the surgeon places stitch after stitch.",
    ),
    Step(
        "swabbing",
        "gauze",
        "zigzag",
        "wipe",
        (1.08, 1.06, 1.04),
        "The white gauze wipes to and fro and leaves a pale patch.",
        "With the gauze, the surgeon dries the field.",
    ),
)

_NURSING = (
    Step(
        "hand washing",
        "sponge",
        "circle",
        "foam",
        (0.90, 0.98, 1.12),
        "The blue sponge circles over the skin under white foam.",
        "The nurse washes with a sponge until bubbles cover the skin.",
    ),
    Step(
        "disinfect skin",
        "swab",
        "zigzag",
        "iodine",
        (1.10, 0.95, 0.83),
        "The brown swab paints an orange patch on the arm.",
        "The nurse spreads disinfectant with a swab.",
    ),
    Step(
        "apply tourniquet",
        "tourniquet",
        "push",
        "band",
        (0.91, 0.91, 1.10),
        "The indigo tourniquet is pulled tight around the arm.",
        "The nurse ties a tourniquet around the arm.",
    ),
    Step(
        "insert cannula",
        "cannula",
        "tap",
        "drops",
        (1.10, 0.91, 1.03),
        "The pink cannula enters the skin and red drops appear.",
        "The nurse places a cannula in a vein.",
    ),
    Step(
        "inject medication",
        "syringe",
        "hold",
        "jet",
        (1.09, 0.94, 0.93),
        "The syringe with the red barrel stays at the skin and its plunger goes in.",
        "The nurse gives the medication with a syringe.",
    ),
    Step(
        "apply dressing",
        "dressing",
        "push",
        "patch",
        (0.91, 1.09, 0.97),
        "The white dressing with the green border is pressed on the skin.",
        "The nurse covers the site with a dressing.",
    ),
    Step(
        "measure blood pressure",
        "gauge",
        "hold",
        "cuff",
        (0.86, 0.95, 0.95),
        "The black gauge is read beside a grey cuff.",
        "The nurse inflates a cuff and reads the gauge.",
    ),
    Step(
        "record chart",
        "clipboard",
        "saw",
        "notes",
        (1.08, 1.06, 0.86),
        "The clipboard is held up while a pen adds lines.",
        "The nurse writes the findings on a chart.",
    ),
)

WORLDS: dict[str, World] = {
    # Large slow tools, long phases. The canvas is larger than the stored frames, as in part of the real data.
    "SimulatedLaparoscopy": World(
        domain="laparoscopic",
        canvas=Canvas(640, 480),
        stored_px=400,
        ring=_LAPAROSCOPY,
        helper="grasper",
        steps=(3, 5),
        unevenness=1.4,
        p_gap=0.3,
        p_split=0.2,
        head_px=190.0,
        reach_px=36.0,
        period_s=(9.0, 16.0),
        sway_px=7.0,
        scene="a simulated laparoscopic procedure",
        actor="operator",
    ),
    # Small fast hands and tools, shorter actions with pauses.
    "SimulatedOpenSurgery": World(
        domain="open",
        canvas=Canvas(416, 416),
        stored_px=416,
        ring=_OPEN,
        helper="left hand",
        frames=(20, 32),
        steps=(3, 5),
        unevenness=1.8,
        p_gap=0.6,
        p_split=0.2,
        head_px=100.0,
        reach_px=40.0,
        period_s=(3.0, 6.0),
        sway_px=3.0,
        scene="a simulated open operation",
        actor="surgeon",
    ),
    # Many short actions; nothing to track.
    "SimulatedNursing": World(
        domain="nursing",
        canvas=Canvas(416, 312),
        stored_px=416,
        ring=_NURSING,
        frames=(22, 32),
        steps=(5, 8),
        unevenness=1.8,
        p_gap=0.8,
        p_split=0.1,
        head_px=100.0,
        reach_px=26.0,
        place_y=(0.42, 0.76),
        period_s=(4.0, 8.0),
        sway_px=2.0,
        procedure="Simulated Bedside Care",
        scene="simulated bedside care",
        actor="nurse",
    ),
    # No ring: six graded aspects.
    "SimulatedRobotics": World(
        domain="robotic",
        canvas=Canvas(384, 384),
        stored_px=384,
        frames=(16, 24),
        head_px=84.0,
        reach_px=60.0,
        place_y=(0.3, 0.8),
        period_s=(6.0, 12.0),
        sway_px=0.0,
        scene="a simulated bench-top suturing task",
        actor="trainee",
    ),
}

#: The source's place in this tuple seeds its videos: append only, or every video changes.
SOURCE_NAMES = tuple(WORLDS)
