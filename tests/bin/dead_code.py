"""Functions, classes and attributes that nothing uses: vulture over the package, its tests not counted as a use."""

import subprocess
import sys

# Used by name: fields of models, methods that a library or a Protocol calls, enum members.
KNOWN = (
    "model_config,_fits_together,_reads,_one_kind,_bounds_apart,_window_covers_verify,_rise_to_everyone,_can_move,"
    "_channels_exist,_placeholders_are_known,_values_are_text,_only_references,_names_are_free,_digits_are_text,"
    "_green_needs_evidence"
)


def main() -> int:
    command = [sys.executable, "-m", "vulture", "soc_deploy_mcp", "--min-confidence", "80", "--ignore-names", KNOWN]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
