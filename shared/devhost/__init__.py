"""A local host for Azure Functions apps in Python: HTTP, timer and queue triggers, without Core Tools or a container.

It stands in for the Azure Functions host on a laptop and copies its rules where an app can see them; each copied rule
is a row of `tests/devhost/host_facts.py`. It knows nothing of what an app does, and an app nothing of it.

    python -m shared.devhost function_app:app --port 8080 --workers 2

The same from Python: `run_host(HostOptions(...))` in `.launch`.
"""
