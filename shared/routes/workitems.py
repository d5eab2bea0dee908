"""Paths that begin with `/workitems`: the worklist (UPS-01)."""

import azure.functions as func

from ..web_extension import Request, Response
from .call import Route
from .dispatch import METHODS, dispatch
from .handlers import workitems as handlers
from .route_table import RouteGroup

WORKITEM = "/workitems/{workitem}"
SUBSCRIBER = f"{WORKITEM}/subscribers/{{aet}}"

GROUP = RouteGroup(
    "workitems",
    (
        Route("POST", "/workitems", handlers.create_workitem, "add-workitem", "write"),
        Route("GET", "/workitems", handlers.search_for_workitems, "query-workitem"),
        Route("GET", WORKITEM, handlers.retrieve_workitem, "retrieve-workitem"),
        Route("POST", WORKITEM, handlers.update_workitem, "update-workitem", "write"),
        Route("PUT", WORKITEM, handlers.update_workitem, "update-workitem", "write"),
        Route("PUT", f"{WORKITEM}/state", handlers.change_workitem_state, "change-state-workitem", "write"),
        Route("POST", f"{WORKITEM}/cancelrequest", handlers.request_workitem_cancellation, "cancel-workitem", "write"),
        Route("GET", "/workitems/subscriptions", handlers.workitem_subscriptions, ""),
        Route("POST", SUBSCRIBER, handlers.workitem_subscriptions, "", "write"),
        Route("DELETE", SUBSCRIBER, handlers.workitem_subscriptions, "", "write"),
    ),
)

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


@blueprint.route("{version}/workitems/{*rest}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def workitems(req: Request) -> Response:
    """Every request below `/{version}/workitems`."""
    return await dispatch(GROUP, req)
