"""Commands about data: get, doctor, build, attach, export, stats, relocate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from medvidbench_hf.cli.board import OutFile, json_target
from medvidbench_hf.cli.machine import cores
from medvidbench_hf.cli.tables import console, print_build, print_examined, print_got, print_plan, print_stats, say
from medvidbench_hf.sample import TASKS, InputError

app = typer.Typer(no_args_is_help=True, help="Get, build and look after data sets.")

NumProc = Annotated[int, typer.Option(help="Worker processes; 0 is one a core.", min=0)]
Overwrite = Annotated[bool, typer.Option(help="Replace what is in OUT.")]
Codec = Annotated[
    str,
    typer.Option(
        "--clips", help="h264: mp4 that plays anywhere. av1: smaller, slower. copy: frames bit for bit, in mkv."
    ),
]


@app.command("get")
def get(
    which: Annotated[str, typer.Argument(help="test, or trainval (gated).")],
    root: Annotated[Path, typer.Option(help="Folder to fill.")],
    sources: Annotated[str, typer.Option(help="Only the frames of these, joined by commas: AVOS,JIGSAWS.")] = "",
    max_side: Annotated[
        int | None, typer.Option(help="Make frames smaller, to this many pixels on the longer side.", min=32)
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A commit; else the one of the first download.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be downloaded.")] = False,
    json_file: OutFile = None,
) -> None:
    """Download the official files. The same command goes on where it was stopped.

    Example: `medvidbench data get test --root medvidbench --max-side 448`
    """
    from medvidbench_hf.sources.release import get as download
    from medvidbench_hf.whole_file import write_json

    json_target(json_file)
    plan = download.plan(which, root, revision=revision, sources=_names(sources), max_side_px=max_side)
    print_plan(plan)
    if dry_run:
        if json_file:
            chosen = (
                "which",
                "repo",
                "revision",
                "n_frames",
                "present",
                "download_bytes",
                "needed_bytes",
                "free_bytes",
            )
            write_json(json_file, {name: getattr(plan, name) for name in chosen})
        return
    got = download.get(plan, progress=True)
    print_got(got)
    if json_file:
        paths = {"rows": str(got.rows), "by_hand": [str(file) for file in got.by_hand]}
        write_json(json_file, {**got._asdict(), **paths})
    if got.refused:
        raise typer.Exit(1)


@app.command("doctor")
def doctor(
    root: Annotated[Path, typer.Option(help="The folder with the release's JSON and frames, or the JSON file.")],
    sources: Annotated[str, typer.Option(help="Only the frames of these, joined by commas.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Read only the head of each frame.")] = False,
    num_proc: NumProc = 0,
    json_file: OutFile = None,
) -> None:
    """Look at a copy of the release: frames that are missing or broken, rows that are odd. Exit code 1 where any are.

    Example: `medvidbench data doctor --root medvidbench`
    """
    from medvidbench_hf.sources.release.doctor import examine
    from medvidbench_hf.whole_file import write_json

    def watch(jobs: Iterable[Any], total: int) -> Iterable[Any]:
        return track(jobs, "reading frames", total=total)

    json_target(json_file)
    examined = examine(root, sources=_names(sources), decode=not quick, num_proc=num_proc or cores(), watch=watch)
    print_examined(examined)
    if json_file:
        found = asdict(examined)
        found["rows"] = {
            kind: [{"source": s, "qa_type": t, "rows": n} for (s, t), n in counts.items()]
            for kind, counts in examined.rows.items()
        }
        write_json(json_file, {**found, "faults_by_kind": examined.faults_by_kind, "healthy": examined.healthy})
    if not examined.healthy:
        raise typer.Exit(1)


@app.command("build")
def build(
    source: Annotated[str, typer.Option(help="release, nurvid or simulated.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    root: Annotated[Path | None, typer.Option(help="Folder with the source's own files.")] = None,
    overwrite: Overwrite = False,
    num_proc: NumProc = 0,
    clips: Codec = "h264",
    media: Annotated[bool, typer.Option(help="--no-media makes text-only rows; not for nurvid.")] = True,
    from_videos: Annotated[
        Path | None,
        typer.Option(
            help="release only: cut clips from the videos below this folder, named <video_id>.mp4, not from frames."
        ),
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="release only: share of the train/val rows for validation, by video.")
    ] = None,
    videos: Annotated[
        int | None, typer.Option(help="simulated only: number of videos, 12 to 13 questions each.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="simulated: another benchmark; release: other videos for validation.")
    ] = None,
    json_file: OutFile = None,
) -> None:
    """Build a data set folder for load_dataset from a source's own files.

    Example: `medvidbench data build --source release --root medvidbench --out built`
    """
    from medvidbench_hf.builder import build as build_folder
    from medvidbench_hf.whole_file import write_json

    given = {"validation": validation, "seed": seed, "videos": videos, "from_videos": from_videos}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if not media:
        options["media"] = False
    json_target(json_file)
    built = build_folder(
        *(source, out),
        root=root,
        num_proc=num_proc or cores(),
        overwrite=overwrite,
        progress=True,
        codec=clips,
        **options,
    )
    print_build(built)
    if json_file:
        write_json(json_file, asdict(built))


@app.command("attach")
def attach(
    data: Annotated[str, typer.Argument(help="Text-only rows: a built folder, or ORG/NAME on the Hub.")],
    root: Annotated[
        Path,
        typer.Option(help="Folder with your frames, or your videos named <video_id>.mp4, in any folders below it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    overwrite: Overwrite = False,
    num_proc: NumProc = 0,
    clips: Codec = "h264",
    json_file: OutFile = None,
) -> None:
    """Join your own videos or frames to rows that have none, by source, video and time.

    Example: `medvidbench data attach org/MedVidBench --root videos --out built`
    """
    from medvidbench_hf.builder import attach as attach_media
    from medvidbench_hf.whole_file import write_json

    json_target(json_file)
    built = attach_media(
        *(data, root, out), num_proc=num_proc or cores(), overwrite=overwrite, progress=True, codec=clips
    )
    print_build(built)
    if json_file:
        write_json(json_file, asdict(built))


@app.command("export")
def export(
    data: Annotated[str, typer.Argument(help="A built folder, or ORG/NAME on the Hub.")],
    form: Annotated[
        str, typer.Option("--format", help="trl, llamafactory, ms-swift, easyr1; or release, the official form.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    split: Annotated[str, typer.Option(help="train, validation or test; release also takes trainval.")] = "train",
    task: Annotated[str, typer.Option(help="Only this task.")] = "all",
    frames: Annotated[bool, typer.Option(help="release only: --no-frames writes the JSON alone.")] = True,
) -> None:
    """Write a split in the form that another trainer loads, or that the official tools read.

    Example: `medvidbench data export built --format ms-swift --split train --out swift`
    """
    from medvidbench_hf.builder.export import export as write
    from medvidbench_hf.builder.official import export_release
    from medvidbench_hf.builder.trainers import FORMATS

    if task not in (*TASKS, "all"):
        raise InputError(f"unknown task {task!r}; known: {', '.join(TASKS)}, all")
    if form not in (*FORMATS, "release"):
        raise InputError(f"unknown format {form!r}; known: {', '.join(FORMATS)}, release")
    if form != "release" and not frames:
        raise InputError(f"--no-frames is for --format release; {form} reads the clips")
    if form == "release":
        made = export_release(data, split, out, task=task, frames=frames)
        without = f", {made.without_frames:,} without frames" if made.without_frames else ""
        say(f"{made.n_rows:,} rows in {made.json}{without}; {made.n_frames:,} frames written")
        return
    done = write(data, split, form, out, task=task)
    say(f"{done.n_rows:,} rows in {', '.join(file.name for file in done.files)}; how to load them: {out}/README.md")
    for reason, n in done.left_out.items():
        say(f"left out: {n:,} rows, {reason}")


@app.command("stats")
def stats(
    data: Annotated[str, typer.Argument(help="A built folder, or ORG/NAME on the Hub.")],
    plot: Annotated[Path | None, typer.Option(help="Write the picture to this .svg file.")] = None,
    json_file: OutFile = None,
) -> None:
    """Count a data set: rows, videos, durations, rates, answer lengths, and videos that two splits share.

    Example: `medvidbench data stats built --plot stats.svg`
    """
    from medvidbench_hf.builder.stats import picture
    from medvidbench_hf.builder.stats import stats as count
    from medvidbench_hf.whole_file import write_json, write_text

    json_target(json_file)
    if plot is not None and plot.suffix != ".svg":
        raise InputError(f"--plot {plot}: the picture is an .svg file")
    if plot is not None and not plot.parent.is_dir():
        raise InputError(f"--plot {plot}: no such folder {plot.parent}")
    found = count(data)
    print_stats(found)
    if plot is not None:
        write_text(plot, picture(found))
        say(f"open {plot}")
    if json_file:
        write_json(json_file, asdict(found))


@app.command("relocate")
def relocate(data: Annotated[Path, typer.Argument(help="A built folder that was moved.")]) -> None:
    """Rewrite the clip paths inside a folder that was moved.

    Example: `mv simulated elsewhere && medvidbench data relocate elsewhere`
    """
    from medvidbench_hf.builder import relocate as rewrite

    console.print(f"{rewrite(data)} rows changed in {data}")


def _names(joined: str) -> list[str]:
    return [name.strip() for name in joined.split(",") if name.strip()]
