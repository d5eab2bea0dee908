"""What the local host copies from the real one: a row for each rule, with the class in which it was read.

Each row has a test of its name (`test_<name>` in this directory); `test_facts.py` keeps it so. A rule that changes in
the real host is looked up again under its source.
"""

from dataclasses import dataclass

HOST = "Azure/azure-functions-host"
HTTP_EXTENSION = "Azure/azure-webjobs-sdk-extensions, WebJobs.Extensions.Http"
TIMERS = "Azure/azure-webjobs-sdk-extensions, WebJobs.Extensions"
QUEUES = "Azure/azure-sdk-for-net, Microsoft.Azure.WebJobs.Extensions.Storage"
ASPNETCORE = "dotnet/aspnetcore"
NCRONTAB = "atifaziz/NCrontab"
CORE_TOOLS = "Azure/azure-functions-core-tools"


@dataclass(frozen=True, slots=True)
class Fact:
    """One rule: where it was read as repository and class, and what it says."""

    repository: str
    source: str
    rule: str


FACTS: dict[str, Fact] = {
    # -- start
    "settings_of_the_environment_win": Fact(
        CORE_TOOLS,
        "StartHostAction.UpdateEnvironmentVariables",
        "A value of local.settings.json becomes an environment variable unless that has a value already.",
    ),
    "reserved_routes_are_refused": Fact(
        HOST, "ScriptHost.ValidateHttpFunction", "No route may begin with admin or runtime."
    ),
    "equal_routes_are_refused": Fact(
        HOST, "ScriptHost.HttpRoutesConflict", "Two functions must not have one route and a method in common."
    ),
    "functions_are_indexed_before_anything_runs": Fact(
        HOST,
        "ScriptHost.InitializeFunctionDescriptorsAsync",
        "Every function is known before a request is served or a listener starts.",
    ),
    "worker_count": Fact(
        HOST,
        "RpcWorkerConfigFactory.GetWorkerProcessCount",
        "FUNCTIONS_WORKER_PROCESS_COUNT says how many workers start: 1 if unset or 0, more than 10 are refused.",
    ),
    # -- HTTP
    "function_order": Fact(
        HOST,
        "FunctionMetadataManager.LoadFunctionMetadata",
        "Functions are ordered by name, ordinal and without case: upper case decides, so _ comes after letters.",
    ),
    "first_route_that_fits": Fact(
        HTTP_EXTENSION,
        "WebJobsRouter.RouteAsync",
        "Routes are tried in the order of the functions; the first that fits is taken, literals are not preferred.",
    ),
    "methods_are_part_of_the_route": Fact(
        HOST,
        "WebScriptHostHttpRoutesManager.InitializeHttpFunctionRoutes",
        "A route does not fit a method that it does not name; without methods it fits all. Nothing fits: 404, not 405.",
    ),
    "route_prefix": Fact(
        HTTP_EXTENSION, "HttpOptions.RoutePrefix", "All routes begin with api unless a prefix is set."
    ),
    "route_of_the_name": Fact(
        HOST, "ScriptHost.ValidateHttpFunction", "A function without a route has its name as route."
    ),
    "literals_without_case": Fact(
        ASPNETCORE,
        "RoutePatternMatcher.TryMatchLiterals",
        "Literal segments are compared without case, values stay as they came.",
    ),
    "empty_segments": Fact(
        ASPNETCORE,
        "RoutePatternMatcher.TryMatch",
        "An empty segment fits nothing before a catch-all, and anything inside one; a slash at the end is no segment.",
    ),
    "catch_all_of_nothing": Fact(
        ASPNETCORE, "RoutePatternMatcher.TryMatch", "A catch-all also fits when nothing is left of the path."
    ),
    "encoded_slash": Fact(
        ASPNETCORE, "UrlDecoder.DecodeInPlace", "Paths are decoded before they are routed, but for %2F."
    ),
    "root_path": Fact(
        HOST,
        "HomepageMiddleware.Invoke",
        "A function that fits / answers it. Without one it is the home page, or 204 if AzureWebJobsDisableHomepage.",
    ),
    "paths_of_the_host": Fact(
        HOST, "HostController, FunctionsController, KeysController", "admin/ and runtime/ are paths of the host itself."
    ),
    "function_keys": Fact(
        HOST,
        "FunctionInvocationMiddleware.RequiresAuthz",
        "A function whose authLevel is not anonymous answers 401 without a key; the default level is function.",
    ),
    "body_limit": Fact(
        HOST,
        "HttpRequestBodySizeMiddleware, ScriptConstants.DefaultMaxRequestBodySize",
        "A body above FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, 104,857,600 bytes by default, gives 413.",
    ),
    "request_line_limit": Fact(
        ASPNETCORE, "KestrelServerLimits.MaxRequestLineSize", "A request line above 8,192 bytes gives 414."
    ),
    "header_limits": Fact(
        ASPNETCORE,
        "KestrelServerLimits.MaxRequestHeadersTotalSize, MaxRequestHeaderCount",
        "Headers above 32,768 bytes together, or more than 100 of them, give 431.",
    ),
    # -- timers
    "schedule_fields": Fact(
        TIMERS,
        "CronSchedule.HasSeconds, TimerSchedule.Create",
        "A schedule has six fields, seconds first, or five without them, or is a time span between two runs.",
    ),
    "schedule_values": Fact(
        NCRONTAB,
        "CrontabFieldImpl.InternalParse",
        "A field is *, a value, a range, any with a step, or a list; a value with a step goes on to the end. "
        "Names may be cut short; Sunday is 0 and never 7.",
    ),
    "both_day_fields": Fact(
        NCRONTAB,
        "CrontabSchedule.TryGetNextOccurrence",
        "Day and day of week must both fit; an occurrence is always later than the moment asked for.",
    ),
    "schedule_from_setting": Fact(
        TIMERS, "TimerSchedule.Create", "A schedule may be named as %SETTING%; a setting that is missing is an error."
    ),
    "timer_runs_on_schedule": Fact(TIMERS, "TimerListener.HandleTimerEvent", "A timer runs again and again when due."),
    "timer_never_overlaps": Fact(
        TIMERS, "TimerListener.HandleTimerEvent", "The next run is planned after the last has ended, from then on."
    ),
    "timer_errors": Fact(TIMERS, "TimerListener.InvokeJobFunction", "A run that fails does not end the schedule."),
    "timer_run_on_startup": Fact(
        TIMERS, "TimerListener.StartAsync", "With runOnStartup a timer runs at start, not past due."
    ),
    "timer_past_due": Fact(
        TIMERS,
        "ScheduleMonitor.CheckPastDueAsync",
        "A run missed while no host was there is made up at start as past due, unless the schedule has changed.",
    ),
    "timer_monitor_of_short_schedules": Fact(
        TIMERS,
        "TimerSchedule.ShouldDisableScheduleMonitor",
        "Schedules of less than a minute are not remembered.",
    ),
    "timer_in_one_worker": Fact(
        TIMERS, "TimerListener (Singleton)", "A timer runs in one place, however many workers there are."
    ),
    # -- queues
    "queue_defaults": Fact(
        QUEUES,
        "QueuesOptions",
        "batchSize 16, newBatchThreshold half of it for each processor, maxPollingInterval 1 minute, "
        "visibilityTimeout 0, maxDequeueCount 5, messageEncoding base64; batchSize is 32 at most.",
    ),
    "queue_polling": Fact(
        QUEUES,
        "QueuePollingIntervals, RandomizedExponentialBackoffStrategy.GetNextDelay",
        "An empty queue is read again after 0.1 s, then after about twice as long up to maxPollingInterval; "
        "a message starts it anew.",
    ),
    "queue_message": Fact(
        QUEUES,
        "QueueProcessor.CompleteProcessingMessageAsync",
        "The function is given the decoded body, id and dequeue count; the message is deleted when it succeeded.",
    ),
    "queue_retries": Fact(
        QUEUES,
        "QueueProcessor.ReleaseMessageAsync",
        "A message whose function failed is seen again after visibilityTimeout.",
    ),
    "queue_poison": Fact(
        QUEUES,
        "QueueProcessor.HandlePoisonMessageAsync",
        "After maxDequeueCount failures a message goes to <queue>-poison, which is made if missing.",
    ),
    "queue_poison_listener_is_woken": Fact(
        QUEUES,
        "QueueListener.RegisterSharedWatcherWithQueueProcessor",
        "A trigger on the poison queue reads at once when a message comes there.",
    ),
    "queue_poison_has_no_poison": Fact(
        QUEUES,
        "QueueListenerFactory.CreatePoisonQueueReference",
        "A queue whose name ends with -poison has no poison queue; what fails there stays hidden.",
    ),
    "queue_base64": Fact(
        QUEUES,
        "QueueServiceClientProvider.CreateMessageDecodingFailedHandler",
        "A message that is not in base64 goes to the poison queue as it is; none takes any text.",
    ),
    "queue_hidden_while_running": Fact(
        QUEUES,
        "QueueListener.CreateUpdateMessageVisibilityTimer",
        "A message is hidden for 10 minutes while its function runs, renewed every 5.",
    ),
    "queue_batches": Fact(
        QUEUES,
        "QueueListener.WaitForNewBatchThreshold",
        "Up to batchSize messages are read at once; the next batch when no more than newBatchThreshold still run.",
    ),
    "queue_that_is_missing": Fact(
        QUEUES, "QueueListener.ExecuteAsync", "A queue that does not exist is read as an empty one."
    ),
    "queue_connection": Fact(
        QUEUES,
        "StorageClientProvider.Get",
        "connection names a setting, with or without AzureWebJobs before it; AzureWebJobsStorage if empty.",
    ),
    "queue_listeners_stop_in_peace": Fact(
        QUEUES, "QueueListener.StopAsync", "At the end nothing more is read, and what runs is waited for."
    ),
}
