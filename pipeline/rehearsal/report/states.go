package report

import "encoding/json"

// States writes what a later rehearsal compares with.
type States struct{}

func (s *States) add(*Entity, map[string]json.RawMessage) error { return nil }
