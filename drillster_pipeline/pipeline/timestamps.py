"""Time stamps of seals (RFC 3161): an authority signs that a manifest existed, which nobody here could write later.

A stamp lies beside the manifest that it is of, and is named after its SHA-256: a manifest that was redacted is stamped
anew, and the stamp of what it was before stays. An authority that does not answer stops nothing; what has no stamp yet
gets one with the next `prune`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drillster_pipeline.archive.captures import MANIFEST, Capture
from drillster_pipeline.bounded_requests import ROUND_SECONDS, bounded, request
from drillster_pipeline.errors import ContractError, PipelineError, SettingsError, Unavailable, needs_extra

from .context import PipelineContext

if TYPE_CHECKING:
    from .evidence import Finding

logger = logging.getLogger(__name__)
_NO_STAMP = (ValueError, KeyError)
"""What the library raises where bytes are no time stamp."""


def stamp(context: PipelineContext, capture: Capture) -> bool:
    """Have the seal of a capture stamped, unless it is; whether it has a stamp now. Logs why it has none."""
    if context.settings.timestamp_url is None or _name(capture.manifest_sha256) in _stamps(capture):
        return True
    folder = capture.ref.folder
    try:
        content = capture.storage.read(f"{folder}/{MANIFEST}")
        found = request_stamp(content, context.settings.timestamp_url.get_secret_value())
        capture.storage.write(f"{folder}/{_name(hashlib.sha256(content).hexdigest())}", found)
    except PipelineError as problem:
        logger.warning(
            "The seal of capture %s has no time stamp yet (%s): a later `prune` requests it", folder, problem
        )
        return False
    return True


def stamp_all(context: PipelineContext) -> None:
    """Have every seal stamped that has no stamp, until the authority fails."""
    if context.settings.timestamp_url is None:
        return
    for day in reversed(context.archive.dates()):
        for ref in context.archive.captures(day):
            with suppress(ContractError):  # of a damaged one there is nothing to prove
                if ref.sealed and not stamp(context, context.archive.open(ref)):
                    return


def request_stamp(content: bytes, url: str) -> bytes:
    """A stamp of some content, from the authority at a URL. Raises Unavailable with the reason why there is none.

    With the certificates of the authority. Where these are not sorted as DER has it, which some authorities do not and
    the library insists on, without: the file of DRILLSTER_TIMESTAMP_CERTIFICATE must have the signer's then.
    """
    import rfc3161_client as rfc3161

    builder = rfc3161.TimestampRequestBuilder().data(content).hash_algorithm(rfc3161.HashAlgorithm.SHA256)
    for with_certificates in (True, False):
        query = builder.cert_request(cert_request=with_certificates).build()
        found: list[bytes] = []
        options: dict[str, Any] = {"data": query.as_bytes(), "headers": {"Content-Type": "application/timestamp-query"}}
        problem = bounded(partial(request, "POST", url, content=found, **options), ROUND_SECONDS)
        if problem is not None:
            raise Unavailable(problem)
        try:
            response = rfc3161.decode_timestamp_response(found[0])
            answer, status = response.tst_info, response.status
        except _NO_STAMP:
            continue
        if status != rfc3161.PKIStatus.GRANTED:
            continue  # granted with changes: the library would prove nothing by it
        if (answer.nonce, answer.message_imprint.message) != (query.nonce, hashlib.sha256(content).digest()):
            raise Unavailable("its time stamp is of another request")
        return found[0]
    raise Unavailable("it refused, or its response is no time stamp")


def timestamp_findings(context: PipelineContext, capture: Capture) -> Iterator[Finding]:
    """What the stamps prove of the seal as it is, and as it was before persons were erased; no request is made."""
    from .evidence import Finding, text_of  # needs pandas, which a capture should not wait for

    stamps, certificates = _stamps(capture), context.settings.timestamp_certificate
    if not stamps and context.settings.timestamp_url is None and certificates is None:
        return
    if _name(capture.manifest_sha256) not in stamps:
        text = "the seal has none, so nothing proves when it existed: `prune` requests it of DRILLSTER_TIMESTAMP_URL"
        yield Finding("time stamp", text, is_right=False)
    seals = {capture.manifest_sha256: "the seal as it is now"}
    seals |= {
        entry["was_sha256"]: f"the seal before the redaction of {entry['at'][:10]}, which no longer applies,"
        for entry in capture.manifest.get("redacted", ())
        if "was_sha256" in entry
    }
    for sha256, seal in seals.items():
        if (name := _name(sha256)) not in stamps:
            continue
        if certificates is None:
            text = f"{seal} has one; name the authority's certificate in DRILLSTER_TIMESTAMP_CERTIFICATE to verify it"
            yield Finding("time stamp", text)
            continue
        try:
            moment = verified(capture.storage.read(f"{capture.ref.folder}/{name}"), sha256, certificates)
        except ValueError as problem:
            yield Finding("time stamp", f"{seal} has one that proves nothing: {problem}", is_right=False)
        else:
            yield Finding("time stamp", f"{seal} existed at {text_of(moment)}, as the authority signed")


def verified(content: bytes, sha256: str, certificates: Path) -> datetime:
    """When a seal existed, by a stamp that an authority of these certificates signed.

    Raises ValueError with the reason where the stamp proves nothing, SettingsError without certificates.
    """
    from cryptography.x509 import load_pem_x509_certificates

    with needs_extra("timestamps", "A time stamp"):
        import rfc3161_client as rfc3161
    try:
        roots = load_pem_x509_certificates(certificates.read_bytes())
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it has no certificate in PEM form"
        raise SettingsError(f"The file of DRILLSTER_TIMESTAMP_CERTIFICATE can't be read ({reason})") from None
    try:
        answer = rfc3161.decode_timestamp_response(content)
        stamped = answer.tst_info
    except _NO_STAMP:
        raise ValueError("it is no time stamp, or was changed") from None
    if stamped.message_imprint.message != bytes.fromhex(sha256):
        raise ValueError("it is of something else")
    try:
        signers = {(each.issuer, each.serial_number) for each in answer.signed_data.signer_infos}
        signer = next((each for each in roots if (each.issuer, each.serial_number) in signers), None)
        verifier = rfc3161.VerifierBuilder(roots=roots, tsa_certificate=signer).build()
        verifier.verify(answer, bytes.fromhex(sha256))
    except (*_NO_STAMP, rfc3161.VerificationError) as problem:
        reason = re.search('Verify error: ([^"]+)', str(problem))  # of OpenSSL: that a certificate has expired
        text = "it is not of an authority of these certificates, or was changed"
        raise ValueError(f"{text} ({reason[1]})" if reason else text) from None
    return stamped.gen_time


def _name(sha256: str) -> str:
    return f"seal-{sha256}.tsr"


def _stamps(capture: Capture) -> set[str]:
    return {name for name in capture.storage.names(capture.ref.folder) if name.endswith(".tsr")}
