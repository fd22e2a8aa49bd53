"""A small file costs little to read, whatever it unpacks to. All bombs: `python -m bombs` in the folder tests."""

import subprocess
import sys
from pathlib import Path

QUICK = """long_image_id many_labels many_tasks long_text_in_table long_names_in_zip litter_in_zip gif
    objects_in_torch_file small_tiff_of_large_tiles smallest_webp pull_request"""


def test_a_small_file_costs_little() -> None:
    tests = Path(__file__).parents[1]
    paths = [str(tests.parent), str(tests)]
    script = f"import runpy, sys; sys.path[:0] = {paths!r}; runpy.run_module('bombs', run_name='__main__')"
    command = [sys.executable, "-c", script, *QUICK.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
