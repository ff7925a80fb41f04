"""One type for each kind of identifier, so that a run id never goes where a release slug belongs."""

from typing import NewType

RunId = NewType("RunId", str)  # run_ + 32 hex digits (128 bit random)
TargetId = NewType("TargetId", str)  # 12 hex digits of project root + service + environment
Slug = NewType("Slug", str)  # a release on a target: v2_1_0-bbbb2222; a file, directory and cluster name
EvidenceId = NewType("EvidenceId", str)  # ev_ + 16 hex digits
PlanHash = NewType("PlanHash", str)  # sha256 of a plan's canonical JSON, 64 hex digits
StepKey = NewType("StepKey", str)  # a name such as canary/25/shift, never a position
Epoch = NewType("Epoch", int)  # the fencing number of a target: grows with every claim
Instant = NewType("Instant", float)  # seconds since 1970-01-01 UTC
