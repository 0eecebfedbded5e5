package admin

import (
	"strings"
)

// exchange is a request and the code that it is answered with.
type exchange struct {
	method, path string
	code         int
	body         string
	headers      map[string]string
}

var html = map[string]string{"Accept": "text/html"}

// openapiExchanges are, by the world that they are asked of, the requests that a
// path alone does not give; provoke makes the others.
var openapiExchanges = map[string][]exchange{
	"well": {
		{method: "GET", path: "/", code: 200},
		{method: "GET", path: "/", code: 200, headers: html},
		{method: "GET", path: "/health", code: 200},
		{method: "GET", path: "/health/live", code: 200},
		{method: "GET", path: "/health/ready", code: 200},
		{method: "GET", path: "/connectors", code: 200},
		{method: "GET", path: "/connectors?expand=status&expand=info", code: 200},
		{method: "POST", path: "/connectors", code: 405, body: `{"name":"y","config":{}}`},
		{method: "GET", path: "/connectors/x-apply", code: 200},
		{method: "DELETE", path: "/connectors/x-apply", code: 405},
		{method: "GET", path: "/connectors/x-apply/config", code: 200},
		{method: "PUT", path: "/connectors/x-apply/config", code: 405, body: `{}`},
		{method: "PATCH", path: "/connectors/x-apply/config", code: 405, body: `{}`},
		{method: "GET", path: "/connectors/x-apply/status", code: 200},
		{method: "GET", path: "/connectors/x-transform/status", code: 200},
		{method: "GET", path: "/connectors/x-apply/tasks", code: 200},
		{method: "GET", path: "/connectors/x-apply/topics", code: 200},
		{method: "PUT", path: "/connectors/x-apply/topics/reset", code: 403},
		{method: "GET", path: "/connectors/x-apply/tasks/1/status", code: 200},
		{method: "GET", path: "/connectors/x-apply/tasks/7/status", code: 404},
		{method: "POST", path: "/connectors/x-apply/tasks/1/restart", code: 204},
		{method: "POST", path: "/connectors/x-apply/tasks/7/restart", code: 404},
		{method: "PUT", path: "/connectors/x-apply/pause", code: 202},
		{method: "PUT", path: "/connectors/x-apply/resume", code: 202},
		{method: "PUT", path: "/connectors/x-apply/stop", code: 204},
		{method: "POST", path: "/connectors/x-apply/restart", code: 204},
		{method: "POST", path: "/connectors/x-apply/restart?includeTasks=true", code: 202},
		{method: "POST", path: "/connectors/x-apply/restart?includeTasks=true&onlyFailed=true", code: 202},
		{method: "GET", path: "/connectors/x-apply/offsets", code: 200},
		{method: "PATCH", path: "/connectors/x-apply/offsets", code: 400, body: `{"offsets":[]}`},
		{method: "PATCH", path: "/connectors/x-apply/offsets", code: 400, body: aPatch},
		{method: "DELETE", path: "/connectors/x-apply/offsets", code: 400},
		{method: "PATCH", path: "/connectors/x-source/offsets", code: 405, body: `{"offsets":[{"partition":{"slot":"s"},"offset":{"lsn":"0/1"}}]}`},
		{method: "DELETE", path: "/connectors/x-source/offsets", code: 405},
		{method: "GET", path: "/connector-plugins?connectorsOnly=false", code: 200},
		{method: "GET", path: "/connector-plugins/backstitch.apply/config", code: 200},
		{method: "GET", path: "/connector-plugins/nope/config", code: 404},
		{method: "PUT", path: "/connector-plugins/backstitch.apply/config/validate", code: 405, body: `{}`},
		{method: "GET", path: "/admin/loggers", code: 200},
		{method: "GET", path: "/admin/loggers/root", code: 200},
		{method: "GET", path: "/admin/loggers/nope", code: 404},
		{method: "PUT", path: "/admin/loggers/root", code: 200, body: `{"level":"WARN"}`},
		{method: "GET", path: "/admin/loggers/root", code: 200},
		{method: "PUT", path: "/admin/loggers/root", code: 400, body: `{}`},
		{method: "PUT", path: "/admin/loggers/root", code: 404, body: `{"level":"LOUD"}`},
		{method: "PUT", path: "/admin/loggers/root?scope=cluster", code: 400, body: `{"level":"WARN"}`},
		{method: "PUT", path: "/admin/loggers/nope", code: 404, body: `{"level":"WARN"}`},
		{method: "GET", path: "/status", code: 200},
		{method: "GET", path: "/series?scope=instance&since=0", code: 200},
		{method: "GET", path: "/metrics", code: 200},
		{method: "GET", path: "/applied?lsn=0/1&organization=team-0", code: 200},
		{method: "GET", path: "/applied?lsn=0/2&timeout=1ms", code: 504},
		{method: "GET", path: "/applied", code: 400},
		{method: "GET", path: "/entities?organization=team-0", code: 200},
		{method: "GET", path: "/entities", code: 400},
		{method: "GET", path: "/entities/member/team-0/user-3/history", code: 200},
		{method: "GET", path: "/entities/member/team-0/nobody/history", code: 404},
		{method: "GET", path: "/parked?limit=3", code: 200},
		{method: "GET", path: "/parked/reasons", code: 200},
		{method: "POST", path: "/parked/retry", code: 200, body: `{"key":"user-3"}`},
		{method: "POST", path: "/parked/retry", code: 400, body: `{"kind":"member"}`},
		{method: "POST", path: "/parked/drop", code: 200, body: `{"key":"user-9"}`},
		{method: "POST", path: "/parked/drop", code: 400, body: `{}`},
		{method: "GET", path: "/consents?all=true", code: 200},
		{method: "POST", path: "/consents/1/approve", code: 200},
		{method: "POST", path: "/consents/99/approve", code: 404},
		{method: "GET", path: "/page/main.js", code: 200},
		{method: "GET", path: "/page/style.css", code: 200},
		{method: "GET", path: "/page/icon.svg", code: 200},
		{method: "GET", path: "/page/index.html", code: 200},
		{method: "GET", path: "/page/nope.js", code: 404},
		{method: "GET", path: "/openapi.json", code: 200},
		{method: "GET", path: "/openapi.yaml", code: 200},
	},
	"stopped": {
		{method: "GET", path: "/connectors/x-apply/status", code: 200},
		{method: "PATCH", path: "/connectors/x-apply/offsets", code: 200, body: aPatch},
		{method: "DELETE", path: "/connectors/x-apply/offsets", code: 200},
		{method: "PATCH", path: "/connectors/x-apply/offsets", code: 200, body: `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"0"},"offset":null}]}`},
	},
	"sick": {
		{method: "GET", path: "/connectors?expand=status", code: 500},
		{method: "GET", path: "/health", code: 503},
		{method: "GET", path: "/health/ready", code: 503},
		{method: "GET", path: "/applied?lsn=0/1", code: 500},
		{method: "GET", path: "/entities?key=user-3", code: 500},
		{method: "PATCH", path: "/connectors/x-apply/offsets", code: 500, body: aPatch},
		{method: "POST", path: "/parked/retry", code: 500, body: `{"key":"user-3"}`},
		{method: "POST", path: "/parked/drop", code: 500, body: `{"key":"user-3"}`},
	},
	"stuck": {{method: "GET", path: "/health", code: 500}, {method: "GET", path: "/health/live", code: 503}},
}

const aPatch = `{"offsets":[{"partition":{"kafka_topic":"x.apply.live","kafka_partition":0},"offset":{"kafka_offset":7}}]}`

// provoke makes the request for an answer that every route gives in the same way:
// without the token, under a foreign name, of a connector that is not there, and
// while neither ledger nor Kafka answers.
func provoke(operation string) (e exchange, world string) {
	parts := strings.Fields(operation)
	fill := strings.NewReplacer("{name}", "x-apply", "{task}", "0", "{kind}", "member", "{organization}", "team-0", "{key}", "user-3", "{id}", "1",
		"{plugin}", "backstitch.apply", "{logger}", "root", "{file}", "main.js")
	e = exchange{method: parts[0], path: fill.Replace(parts[1])}
	switch parts[2] {
	case "401":
		e.code, world = 401, "locked"
	case "403":
		e.code, world = 403, "well"
		e.headers = map[string]string{"Host": "evil.example.com"}
	case "404":
		if strings.Contains(parts[1], "{name}") {
			e.path = strings.Replace(e.path, "x-apply", "nope", 1)
			e.code, world = 404, "well"
		}
	case "500":
		if parts[1] != "/health" && operation != "GET /connectors 500" && parts[1] != "/applied" && parts[1] != "/entities" && !strings.HasPrefix(parts[1], "/parked/") && parts[0] != "PATCH" {
			e.code, world = 500, "sick"
		}
	}
	return e, world
}
