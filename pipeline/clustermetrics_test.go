package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// What an alert asks of the cluster is the same whichever instance is scraped, and
// nothing old is shown while the ledger is away.
func TestClusterMetrics(t *testing.T) {
	t.Parallel()
	yes := time.Now()
	failing := error(nil)
	m := newClusterMetrics(nil, []*connector{{name: "x-source", all: 1}, {name: "x-transform", all: 1}, {name: "x-apply", all: 3}})
	m.read = func(context.Context) (ledger.Cluster, []ledger.Consent, error) {
		return ledger.Cluster{
			Instances: []ledger.Instance{{State: "RUNNING", Alive: true}, {State: "STANDBY_DIGEST", Alive: true}, {State: "RUNNING"}},
			Targets:   map[string]ledger.ConnectorTarget{"x-transform": {State: ledger.TargetPaused}},
			Tasks: []ledger.Task{
				{Connector: "x-source", State: "FAILED", Held: true},
				{Connector: "x-transform", State: "RUNNING"}, // as it was reported before the pause
				{Connector: "x-apply", ID: 0, State: "RUNNING"},
				{Connector: "x-apply", ID: 2, State: "RESTARTING"},
			},
		}, []ledger.Consent{{Kind: "truncate"}, {Kind: "incident", ApprovedAt: &yes}, {Kind: "incident"}}, failing
	}
	compare := func(want string, names ...string) {
		t.Helper()
		m.mu.at = time.Time{} // ask again
		if err := testutil.CollectAndCompare(m, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	compare(`# HELP backstitch_connector_held 1 while a connector does not go on until a person acts.
# TYPE backstitch_connector_held gauge
backstitch_connector_held{connector="x-apply"} 0
backstitch_connector_held{connector="x-source"} 1
backstitch_connector_held{connector="x-transform"} 0
`, "backstitch_connector_held")
	compare(`# HELP backstitch_connector_tasks Tasks of the cluster's connectors, by state.
# TYPE backstitch_connector_tasks gauge
backstitch_connector_tasks{connector="x-apply",state="FAILED"} 0
backstitch_connector_tasks{connector="x-apply",state="PAUSED"} 0
backstitch_connector_tasks{connector="x-apply",state="RESTARTING"} 1
backstitch_connector_tasks{connector="x-apply",state="RUNNING"} 1
backstitch_connector_tasks{connector="x-apply",state="STOPPED"} 0
backstitch_connector_tasks{connector="x-apply",state="UNASSIGNED"} 1
backstitch_connector_tasks{connector="x-source",state="FAILED"} 1
backstitch_connector_tasks{connector="x-source",state="PAUSED"} 0
backstitch_connector_tasks{connector="x-source",state="RESTARTING"} 0
backstitch_connector_tasks{connector="x-source",state="RUNNING"} 0
backstitch_connector_tasks{connector="x-source",state="STOPPED"} 0
backstitch_connector_tasks{connector="x-source",state="UNASSIGNED"} 0
backstitch_connector_tasks{connector="x-transform",state="FAILED"} 0
backstitch_connector_tasks{connector="x-transform",state="PAUSED"} 1
backstitch_connector_tasks{connector="x-transform",state="RESTARTING"} 0
backstitch_connector_tasks{connector="x-transform",state="RUNNING"} 0
backstitch_connector_tasks{connector="x-transform",state="STOPPED"} 0
backstitch_connector_tasks{connector="x-transform",state="UNASSIGNED"} 0
`, "backstitch_connector_tasks")
	compare(`# HELP backstitch_consents_waiting Questions that wait for `+"`backstitch approve`"+`.
# TYPE backstitch_consents_waiting gauge
backstitch_consents_waiting{kind="delete_hold"} 0
backstitch_consents_waiting{kind="deletes"} 0
backstitch_consents_waiting{kind="incident"} 1
backstitch_consents_waiting{kind="recreated"} 0
backstitch_consents_waiting{kind="truncate"} 1
backstitch_consents_waiting{kind="unearned"} 0
# HELP backstitch_instances Live instances of the cluster, by what they do as a whole.
# TYPE backstitch_instances gauge
backstitch_instances{state="RUNNING"} 1
backstitch_instances{state="STANDBY_DIGEST"} 1
# HELP backstitch_ledger_up 1 where the ledger answers this instance, 0 where it does not.
# TYPE backstitch_ledger_up gauge
backstitch_ledger_up 1
`, "backstitch_consents_waiting", "backstitch_instances", "backstitch_ledger_up")
	failing = errors.New("no answer")
	compare(`# HELP backstitch_ledger_up 1 where the ledger answers this instance, 0 where it does not.
# TYPE backstitch_ledger_up gauge
backstitch_ledger_up 0
`)
}
