package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
)

const (
	// clusterEvery is how old an answer of the ledger may be when it is shown again:
	// a scrape comes from every instance, and the page asks as well.
	clusterEvery   = 2 * time.Second
	clusterTimeout = 2 * time.Second
)

// The closed lists behind the labels: every series exists from the start.
var (
	taskStates     = []string{taskUnassigned, taskRunning, taskRestarting, taskFailed, string(ledger.TargetPaused), string(ledger.TargetStopped)}
	instanceStates = []string{instanceRunning, instanceStandby}
	consentKinds   = []string{ledger.ConsentDeletes, ledger.ConsentHold, ledger.ConsentUnearned, ledger.ConsentTruncate, ledger.ConsentRecreated, ledger.ConsentIncident}
)

var (
	ledgerUpDesc  = prometheus.NewDesc("backstitch_ledger_up", "1 where the ledger answers this instance, 0 where it does not.", nil, nil)
	instancesDesc = prometheus.NewDesc("backstitch_instances", "Live instances of the cluster, by what they do as a whole.", []string{"state"}, nil)
	tasksDesc     = prometheus.NewDesc("backstitch_connector_tasks", "Tasks of the cluster's connectors, by state.", []string{"connector", "state"}, nil)
	heldDesc      = prometheus.NewDesc("backstitch_connector_held", "1 while a connector does not go on until a person acts.", []string{"connector"}, nil)
	consentsDesc  = prometheus.NewDesc("backstitch_consents_waiting", "Questions that wait for `backstitch approve`.", []string{"kind"}, nil)
)

// clusterMetrics are what the ledger knows of the cluster: the same from every live
// instance, so that an alert needs only one of them. While the ledger does not
// answer, nothing but that is shown: what was known last may be true no more.
type clusterMetrics struct {
	tasks map[string]int // by connector: how many there are
	read  func(context.Context) (ledger.Cluster, []ledger.Consent, error)

	mu struct {
		sync.Mutex
		at       time.Time
		cluster  ledger.Cluster
		consents []ledger.Consent
		err      error
	}
}

func newClusterMetrics(pool *pgxpool.Pool, connectors []*connector) *clusterMetrics {
	m := &clusterMetrics{tasks: map[string]int{}}
	for _, c := range connectors {
		m.tasks[c.name] = c.all
	}
	m.read = func(ctx context.Context) (ledger.Cluster, []ledger.Consent, error) {
		cluster, err := ledger.ReadCluster(ctx, pool)
		if err != nil {
			return cluster, nil, err
		}
		consents, err := ledger.List(ctx, pool, false)
		return cluster, consents, err
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *clusterMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ledgerUpDesc, instancesDesc, tasksDesc, heldDesc, consentsDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *clusterMetrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.mu.at) > clusterEvery {
		ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
		m.mu.cluster, m.mu.consents, m.mu.err = m.read(ctx)
		cancel()
		m.mu.at = time.Now()
	}
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	if m.mu.err != nil {
		gauge(ledgerUpDesc, 0)
		return
	}
	gauge(ledgerUpDesc, 1)
	instances := map[string]int{}
	for _, i := range m.mu.cluster.Instances {
		if i.Alive {
			instances[i.State]++
		}
	}
	for _, s := range instanceStates {
		gauge(instancesDesc, instances[s], s)
	}
	for name, all := range m.tasks {
		states, held := countTasks(m.mu.cluster, name, all)
		for _, s := range taskStates {
			gauge(tasksDesc, states[s], name, s)
		}
		gauge(heldDesc, held, name)
	}
	waiting := map[string]int{}
	for _, c := range m.mu.consents {
		if !c.Approved() {
			waiting[c.Kind]++
		}
	}
	for _, k := range consentKinds {
		gauge(consentsDesc, waiting[k], k)
	}
}

// countTasks counts a connector's tasks by state; what nobody alive reports is
// unassigned. held is 1 or 0.
func countTasks(c ledger.Cluster, name string, all int) (states map[string]int, held int) {
	states = map[string]int{}
	if target := c.Targets[name].State; target == ledger.TargetPaused || target == ledger.TargetStopped {
		states[string(target)] = all
		return states, 0
	}
	for _, t := range c.Tasks {
		if t.Connector != name {
			continue
		}
		states[t.State]++
		all--
		if t.Held {
			held = 1
		}
	}
	states[taskUnassigned] += max(all, 0)
	return states, held
}
