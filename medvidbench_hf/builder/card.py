"""The data set card: YAML with the configs, then the template filled from the build."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData

import medvidbench_hf
from medvidbench_hf.sample import SPLITS, TASKS

if TYPE_CHECKING:
    from medvidbench_hf.builder.folder import Built

_CARD = Path("dataset_card", "template.md")
_GOLD = (
    "Every row here passed the check that its own answer, parsed and scored, is worth full marks.",
    "Rows of the release are never dropped or moved: where one's own answer is not worth full marks, or its times or "
    "boxes do not fit its clip, that is counted below and listed in flagged.jsonl.",
)


def write_card(built: Built, folder: Path) -> None:
    """Write README.md into a folder whose Parquet files are written."""
    configs: list[dict[str, Any]] = []
    for name in ("all", *built.rows):
        files = data_files(folder, name)
        patterns = {
            s: list(dict.fromkeys(f"data/{p.parent.name}/{s}-*.parquet" for p in paths)) for s, paths in files.items()
        }
        config = {
            "config_name": name,
            "description": f"rows {rows_digest(folder)}",
            "data_files": [
                {"split": split, "path": paths if len(paths) > 1 else paths[0]} for split, paths in patterns.items()
            ],
        }
        configs.append({**config, "default": True} if name == "all" else config)
    sources = Counter[tuple[str, str]]()
    for path in sorted(folder.glob("data/*/*.parquet")):
        table = pq.read_table(path, columns=["source", "licence"])
        for pair in table.group_by(["source", "licence"]).aggregate([([], "count_all")]).to_pylist():
            sources[pair["source"], pair["licence"]] += pair["count_all"]
    simulated = built.source == "simulated"
    data = DatasetCardData(
        pretty_name="MedVidBench (simulated)"
        if simulated
        else f"MedVidBench built from {', '.join(sorted({s for s, _ in sources}))}",
        license="apache-2.0" if simulated else "other",
        language=["en"],
        task_categories=["video-text-to-text", "visual-question-answering"],
        tags=["medical", "video", "temporal-grounding", "medvidbench", *(["simulated"] if simulated else [])],
        configs=configs,
    )
    splits = [split for split in SPLITS if any(split in counts for counts in built.rows.values())]
    count_rows = [
        f"| {task} | {' | '.join(str(counts.get(s, 0)) for s in splits)} |" for task, counts in built.rows.items()
    ]
    body = _template().format(
        title=data.pretty_name,
        origin=(
            "Every video, question and answer here is **simulated**: drawn and written by code, from a seed. Nothing "
            "in it is a medical recording, and no score on it says anything about medical ability."
            if simulated
            else "Built from the annotations of the sources below by `medvidbench data build`."
        ),
        media=f"{built.clips} clips, each stored once." if built.clips else "Text only: the `video` column is empty.",
        splits=f"| task | {' | '.join(splits)} |\n|---|{'---|' * len(splits)}\n" + "\n".join(count_rows),
        sources="| source | licence | rows |\n|---|---|---|\n"
        + "\n".join(f"| {name} | {licence} | {n} |" for (name, licence), n in sorted(sources.items())),
        gold=_GOLD[built.source in ("release", "attached")],
        dropped=_listed(built.dropped),
        flagged=_listed(built.flagged),
        warnings="\n".join(f"- {' '.join(warning.split())}" for warning in built.warnings) or "None.",
        version=built.version,
    )
    (folder / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n{body}", encoding="utf-8")


def _listed(reasons: dict[str, int]) -> str:
    return "\n".join(f"- {n} rows: {reason}" for reason, n in reasons.items()) or "None."


def stamp_card(folder: Path) -> None:
    """Bring the digest in the card up to date after the Parquet files changed."""
    card = folder / "README.md"
    text = re.sub(r"(?m)^(\s*description: rows )\w+$", rf"\g<1>{rows_digest(folder)}", card.read_text(encoding="utf-8"))
    card.write_text(text, encoding="utf-8")


def _template() -> str:
    """The card's text, out of the wheel or out of a checkout."""
    here = Path(medvidbench_hf.__file__).parent
    return next(p for p in (here / _CARD, here.parent / _CARD) if p.is_file()).read_text(encoding="utf-8")


def data_files(folder: Path, config: str) -> dict[str, list[Path]]:
    """split -> the Parquet files of a config, by task and shard."""
    tasks = TASKS if config == "all" else (config,)
    found = {
        split: [p for task in tasks for p in sorted(folder.glob(f"data/{task}/{split}-*.parquet"))] for split in SPLITS
    }
    return {split: files for split, files in found.items() if files}


def rows_digest(folder: Path) -> str:
    """Names the rows of a folder. In the card it keeps the cache of `datasets` apart from that of an earlier build.

    For a local folder `datasets` 5.2 keys its cache on the card's configs alone: without this a folder that was built
    again, or relocated, would go on loading the old rows.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("data/*/*.parquet")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
