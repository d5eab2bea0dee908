"""Names of the containers, tables and queues that the service owns."""

DICOM = "dicom"
"""Container of the DICOM files."""

OVERFLOW = "overflow"
"""Container of what is too large for a property of a row."""

INDEX = "index"
STUDIES = "studies"
CHANGE_FEED = "changefeed"
WORKITEMS = "workitems"
EXTENDED_QUERY_TAGS = "extendedquerytags"
OPERATIONS = "operations"
HOUSEKEEPING = "housekeeping"
"""Stored positions and candidates of the background jobs."""

OPERATIONS_QUEUE = "operations"
EVENTS_QUEUE = "events"
POISON = "-poison"

CONTAINERS = (DICOM, OVERFLOW)
TABLES = (INDEX, STUDIES, CHANGE_FEED, WORKITEMS, EXTENDED_QUERY_TAGS, OPERATIONS, HOUSEKEEPING)
QUEUES = (OPERATIONS_QUEUE, EVENTS_QUEUE, OPERATIONS_QUEUE + POISON, EVENTS_QUEUE + POISON)
