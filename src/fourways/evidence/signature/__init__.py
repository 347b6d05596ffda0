"""Detached OpenPGP signatures behind two methods, `sign` and `verify`: by the gpg program, or by pysequoia where there
is none. What one signs the other verifies.

Must never: fetch a key, trust the caller's own keyring when verifying, or show, write or log a private key.

Public face: `Backend`, `Signer`, `Signed`, `SignatureRefused` (contract.py); `Allowed`, `read_allowed` (allowed.py);
`backend_named`, `signing_backend` (choice.py); `signature_file`, `signature_packet` (detached.py).
"""

from fourways.evidence.signature.allowed import Allowed, read_allowed
from fourways.evidence.signature.choice import backend_named, signing_backend
from fourways.evidence.signature.contract import Backend, SignatureRefused, Signed, Signer
from fourways.evidence.signature.detached import signature_file, signature_packet

__all__ = [
    "Allowed", "Backend", "SignatureRefused", "Signed", "Signer", "backend_named", "read_allowed",
    "signature_file", "signature_packet", "signing_backend",
]  # fmt: skip
