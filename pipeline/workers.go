package pipeline

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/capture"
)

// States of tasks, in Kafka Connect's words. A stand-by is UNASSIGNED.
const (
	taskRunning    = "RUNNING"
	taskUnassigned = "UNASSIGNED"
	taskRestarting = "RESTARTING"
	taskFailed     = "FAILED"
	taskPaused     = "PAUSED"
)

// startSource makes the source's stage. It has one task.
func (p *Pipeline) startSource(metrics prometheus.Registerer) (*worker, error) {
	s := newSource(p.cfg, p.clients, p.rehearsal, p.instance.ID, p.log, metrics)
	p.source.Store(s)
	name := p.connectors[0].name
	return &worker{stager: s, held: s.Held, tasks: func() []ledger.Task {
		t := ledger.Task{Connector: name, State: taskUnassigned}
		switch st := s.Status(); st.State {
		case capture.StateRunning:
			t.State = taskRunning
		case capture.StateRestarting:
			t.State, t.Trace = taskRestarting, st.Reason
		case capture.StateUnassigned, capture.StateStandby, capture.StateFailed: // a held one is known by held
		}
		return []ledger.Task{t}
	}}, nil
}

// startTransform makes the transform's stage. It has one task.
func (p *Pipeline) startTransform(metrics prometheus.Registerer) (*worker, error) {
	s := newTransform(p.cfg, p.clients, p.pool, p.plan, p.instance.ID, p.log, metrics)
	name := p.connectors[1].name
	return &worker{stager: s, held: func() *stage.Held { return s.Status().Held }, tasks: func() []ledger.Task {
		st := s.Status()
		t := ledger.Task{Connector: name, State: taskUnassigned, Trace: st.Warning()}
		if st.State == transform.Running {
			t.State = taskRunning
		}
		return []ledger.Task{t}
	}}, nil
}

// startApply makes the apply connector's stage. It has a task for each partition.
func (p *Pipeline) startApply(metrics prometheus.Registerer) (*worker, error) {
	s, err := newApply(p.cfg, p.clients, p.rehearsal, p.pool, p.instance.ID, p.log, metrics)
	if err != nil {
		return nil, err
	}
	p.apply.Store(s)
	name := p.connectors[2].name
	return &worker{stager: s, held: s.Held, tasks: func() []ledger.Task {
		var tasks []ledger.Task
		for partition := range s.Status().Partitions {
			tasks = append(tasks, ledger.Task{Connector: name, ID: int(partition), State: taskRunning})
		}
		slices.SortFunc(tasks, func(a, b ledger.Task) int { return cmp.Compare(a.ID, b.ID) })
		return tasks
	}}, nil
}
