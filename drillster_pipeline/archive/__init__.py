"""The archive: what Drillster answered, capture by capture, in a folder or an object store.

``<archive>/<export_date>/<capture_id>/`` holds ``capture.json`` (written first: what is being captured), a folder
of parts per resource, and ``manifest.json`` (written last). The manifest **is** the seal: a capture without one
does not count, and what is not in the manifest does not exist.
"""
