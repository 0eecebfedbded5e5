package admin

import (
	"cmp"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// Description is a connector as GET /connectors/{name} answers.
type Description struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
	Tasks  []TaskID          `json:"tasks"`
	Type   string            `json:"type"`
}

// TaskID names a task.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// ConnectorState is a connector as GET /connectors/{name}/status answers.
type ConnectorState struct {
	Name      string      `json:"name"`
	Connector StateOf     `json:"connector"`
	Tasks     []TaskState `json:"tasks"`
	Type      string      `json:"type"`
}

// StateOf is a state and the instance that it is of.
type StateOf struct {
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	// Version of the instance.
	Version string `json:"version,omitempty"`
	Trace   string `json:"trace,omitempty"`
}

// TaskState is the state of a task.
type TaskState struct {
	ID int `json:"id"`
	StateOf
}

// kind is source, or sink for what consumes topics.
func (c connect) kind(name string) string {
	if name == c.Names()[0] {
		return "source"
	}
	return "sink"
}

func (c connect) describe(name string, cluster ledger.Cluster) Description {
	d := Description{Name: name, Config: c.Config(name), Tasks: []TaskID{}, Type: c.kind(name)}
	for _, t := range c.state(name, cluster).Tasks {
		d.Tasks = append(d.Tasks, TaskID{name, t.ID})
	}
	return d
}

// state puts a connector's tasks under what is wanted of it: as in Kafka Connect
// the connector is RUNNING though a task has failed, and a stopped one has no tasks.
// A task that nobody alive reports is UNASSIGNED.
func (c connect) state(name string, cluster ledger.Cluster) ConnectorState {
	s := ConnectorState{Name: name, Connector: StateOf{State: string(ledger.TargetRunning)}, Tasks: []TaskState{}, Type: c.kind(name)}
	if t, ok := cluster.Targets[name]; ok {
		s.Connector.State = string(t.State)
	}
	versions := map[string]string{}
	for _, i := range cluster.Instances {
		versions[i.ID] = i.Version
	}
	reported := map[int]ledger.Task{}
	for _, t := range cluster.Tasks {
		if t.Connector == name {
			reported[t.ID] = t
		}
	}
	for id := range c.TaskIDs(name) {
		t, ok := reported[id]
		switch {
		case ok:
		case s.Connector.State == string(ledger.TargetStopped):
			continue
		default:
			t = ledger.Task{ID: id, State: unassigned}
		}
		s.Tasks = append(s.Tasks, TaskState{id, StateOf{State: t.State, Worker: t.Instance, Version: versions[t.Instance], Trace: t.Trace}})
		s.Connector.Worker = cmp.Or(s.Connector.Worker, t.Instance)
	}
	s.Connector.Version = versions[s.Connector.Worker]
	return s
}
