"""python -m medvidbench_hf.cli"""

from medvidbench_hf.cli import main

main()
