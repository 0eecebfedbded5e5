package apply

import "sync"

const (
	incidentWindow = 100
	incidentLimit  = 20
)

// incidents watches the last 100 calls for one permanent error that has become
// the rule (hazard A13).
type incidents struct {
	mu    sync.Mutex
	last  [incidentWindow]string
	next  int
	count map[string]int
	which string
}

// add notes a call's permanent error type, "" for any other outcome. It says
// whether this one trips: more than 20 of the last 100 with the same error.
func (i *incidents) add(errorType string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count == nil {
		i.count = map[string]int{}
	}
	if old := i.last[i.next]; old != "" {
		i.count[old]--
	}
	i.last[i.next] = errorType
	i.next = (i.next + 1) % incidentWindow
	if errorType == "" {
		return false
	}
	i.count[errorType]++
	if i.which != "" || i.count[errorType] <= incidentLimit {
		return false
	}
	i.which = errorType
	return true
}

func (i *incidents) tripped() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.which != ""
}

// reset begins to count anew.
func (i *incidents) reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last, i.next, i.count, i.which = [incidentWindow]string{}, 0, nil, ""
}
