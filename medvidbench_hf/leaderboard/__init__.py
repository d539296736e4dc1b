"""The board, frozen: its parsers, its ten columns, its ranking; a checker and a writer of submissions.

Everything here reproduces somebody else's behaviour, oddities included, as of the board's public evaluation code. Our
own protocol, `strict`, is in `tasks`. The page of traps (`medvidbench traps`) says where the two differ and why.
"""

from medvidbench_hf.leaderboard.score import COLUMNS, BoardScore, TrapMet, score_records
from medvidbench_hf.leaderboard.traps import TRAPS, traps_page

__all__ = ["COLUMNS", "TRAPS", "BoardScore", "TrapMet", "score_records", "traps_page"]
