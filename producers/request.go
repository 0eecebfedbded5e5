package producers

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// KeyRequestPrefix begins the keys of backfill requests in the checkpoints topic:
// request/backfill/ and the request's id. The source answers one with a tombstone
// in the same Kafka transaction as the checkpoint that takes it up.
const KeyRequestPrefix = "request/backfill/"

// KeyRelations is the key under which the source keeps the tables' last known
// shapes in the checkpoints topic, so that a change of shape is seen across
// restarts (hazards S25, C9).
const KeyRelations = "relations"

// BackfillRequest asks the source to read tables again.
type BackfillRequest struct {
	ID string `json:"id"`
	// Tables are read again beside the stream.
	Tables []schemas.Table `json:"tables,omitempty"`
	// All: a new slot, the next epoch, every table. It is the way out of every hold
	// that says so (hazards S10, S11).
	All  bool      `json:"all,omitempty"`
	Time time.Time `json:"time"`
}

// Key is the request's key in the checkpoints topic.
func (r BackfillRequest) Key() string { return KeyRequestPrefix + r.ID }

// DecodeBackfillRequest reads a request's value.
func DecodeBackfillRequest(b []byte) (BackfillRequest, error) {
	var r BackfillRequest
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("decode a backfill request: %w", err)
	}
	return r, nil
}

// ColumnShape is what a column was when it was seen last.
type ColumnShape struct {
	Name string `json:"name"`
	Type uint32 `json:"type"` // declared, domains not resolved
	Mod  int32  `json:"mod"`
}

// TableShape is what a table was when it was seen last.
type TableShape struct {
	OID     uint32        `json:"oid"`
	Columns []ColumnShape `json:"columns"`
}

// Shapes are the last known shapes by table (Table.String()).
type Shapes map[string]TableShape
