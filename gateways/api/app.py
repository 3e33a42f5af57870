"""The control API's routes. All of them need a key; errors are JSON: {"error": {"message", "code"}}."""

from aiohttp import web

from gateways.api import calibration, evaluation, facts, health, installations, keys, sessions, sources, workflows

PREFIX = "/api/v1"
_ID = r"{id:[0-9]{1,9}}"


def routes() -> list[web.AbstractRouteDef]:
    """The control API's routes."""
    name = f"{PREFIX}/workflows/{{name}}"
    source = f"{PREFIX}/sources/{_ID}"
    fact = f"{PREFIX}/facts/{_ID}"
    return [
        web.post(f"{PREFIX}/workflows", workflows.publish),
        web.get(f"{PREFIX}/workflows", workflows.list_workflows),
        web.get(name, workflows.get_workflow),
        web.get(f"{name}/deployment", workflows.deployment),
        web.post(f"{name}/rollback", workflows.roll_back),
        web.post(f"{PREFIX}/sources", sources.add),
        web.get(f"{PREFIX}/sources", sources.list_sources),
        web.get(source, sources.get),
        web.post(f"{source}/sync", sources.sync),
        web.delete(source, sources.remove),
        web.get(f"{source}/documents", sources.list_documents),
        web.get(f"{PREFIX}/facts", facts.list_facts),
        web.put(f"{PREFIX}/facts/policy", facts.set_policy),
        web.post(f"{fact}/approve", facts.approve),
        web.post(f"{fact}/reject", facts.reject),
        web.post(f"{fact}/undo", facts.undo),
        web.get(f"{PREFIX}/sessions", sessions.list_sessions),
        web.get(f"{PREFIX}/sessions/{_ID}", sessions.get_session),
        web.get(f"{PREFIX}/messages", sessions.new_messages),
        web.get(f"{PREFIX}/accounting", sessions.accounting),
        web.get(f"{PREFIX}/search", sources.find),
        web.post(f"{PREFIX}/keys", keys.create),
        web.get(f"{PREFIX}/keys", keys.list_keys),
        web.delete(f"{PREFIX}/keys/{_ID}", keys.revoke),
        web.post(f"{PREFIX}/installations", installations.connect),
        web.post(f"{PREFIX}/installations/sign-in", installations.sign_in),
        web.get(f"{PREFIX}/installations", installations.list_installations),
        web.delete(f"{PREFIX}/installations/{{platform}}/{{external_id}}", installations.disconnect),
        web.post(f"{PREFIX}/calibrations", calibration.calibrate),
        web.post(f"{PREFIX}/evaluations/ask", evaluation.ask),
        web.get(f"{PREFIX}/evaluations/cases", evaluation.cases),
        web.get(f"{PREFIX}/workflows/{{name}}/bundle", evaluation.bundle),
        web.get(f"{PREFIX}/health", health.health),
    ]
