"""Paths that begin with `/studies`: store, retrieve, search below a study, delete, bulk update."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import bulk_update, delete, retrieve, search, store
from .route_table import RouteGroup

STUDY = "/studies/{study}"
SERIES = "/studies/{study}/series/{series}"
INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"

GROUP = RouteGroup(
    "studies",
    (
        Route("POST", "/studies", store.store_instances, "store", "write"),
        Route("POST", "/studies/$bulkUpdate", bulk_update.update_studies, "update-study", "write", ("v2",)),
        Route("POST", STUDY, store.store_instances, "store", "write"),
        Route("PUT", "/studies", store.upsert_instances, "store", "write"),
        Route("PUT", STUDY, store.upsert_instances, "store", "write"),
        Route("GET", "/studies", search.search_studies, "query"),
        Route("GET", STUDY, retrieve.retrieve_study, "retrieve"),
        Route("GET", SERIES, retrieve.retrieve_series, "retrieve"),
        Route("GET", INSTANCE, retrieve.retrieve_instance, "retrieve"),
        Route("GET", f"{INSTANCE}/frames/{{frames}}", retrieve.retrieve_frames, "retrieve"),
        Route("GET", f"{STUDY}/metadata", retrieve.study_metadata, "retrieve-metadata"),
        Route("GET", f"{SERIES}/metadata", retrieve.series_metadata, "retrieve-metadata"),
        Route("GET", f"{INSTANCE}/metadata", retrieve.instance_metadata, "retrieve-metadata"),
        Route("GET", f"{INSTANCE}/rendered", retrieve.rendered_instance, "retrieve-rendered"),
        Route("GET", f"{INSTANCE}/frames/{{frame}}/rendered", retrieve.rendered_frame, "retrieve-rendered"),
        Route("GET", f"{STUDY}/series", search.search_study_series, "query"),
        Route("GET", f"{STUDY}/instances", search.search_study_instances, "query"),
        Route("GET", f"{SERIES}/instances", search.search_series_instances, "query"),
        Route("DELETE", STUDY, delete.delete_study, "delete", "delete"),
        Route("DELETE", SERIES, delete.delete_series, "delete", "delete"),
        Route("DELETE", INSTANCE, delete.delete_instance, "delete", "delete"),
    ),
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/studies/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def studies(req: Request) -> Response:
    """Every request below `/{version}/studies`."""
    return await dispatch(GROUP, req)
