"""Whether a run is what its signer published: the signature, every file, every figure, every row that should be there.

Must never: change a file, follow a link or a name out of the run's folder, or read deeper into files whose signature or
digest is refused.

Public face: `verify_run` (whole.py), `Verification`, `Check` (contract.py).
"""

from fourways.evidence.verify.contract import VERIFICATION_SCHEMA, Check, Verification
from fourways.evidence.verify.whole import verify_run

__all__ = ["VERIFICATION_SCHEMA", "Check", "Verification", "verify_run"]
