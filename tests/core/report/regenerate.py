"""Write the golden reports and the schema anew: python -m tests.core.report.regenerate. Then read the difference."""

import json
from pathlib import Path

from soc_deploy_mcp.core.report import Report, markdown, project
from tests.core.report.journals import ENDINGS

if __name__ == "__main__":
    here = Path(__file__).parent / "golden"
    here.mkdir(exist_ok=True)
    for name, records in ENDINGS.items():
        (here / f"{name}.md").write_text(markdown(project(records())))
    schema = Path(__file__).parents[3] / "docs" / "report.schema.json"
    schema.write_text(json.dumps(Report.model_json_schema(by_alias=True), indent=2) + "\n")
