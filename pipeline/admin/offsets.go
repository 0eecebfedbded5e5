package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
)

// offsetsBody is the longest body of PATCH …/offsets.
const offsetsBody = 1 << 20

// Errors of a Control that alters offsets.
var (
	// ErrNotStopped: the connector may run.
	ErrNotStopped = errors.New("the connector must be in the STOPPED state before its offsets can be modified: PUT …/stop, and wait until it has no tasks")
	// ErrNotAltered: this connector's offsets are not changed like that.
	ErrNotAltered = errors.New("the offsets of this connector cannot be changed")
	// ErrBadOffsets: these offsets do not exist.
	ErrBadOffsets = errors.New("offsets")
)

// Beginning stands for the first offset of a partition, as null in PATCH …/offsets.
const Beginning int64 = -2

// whole is a number that may stand in quotes, as Kafka Connect takes it.
type whole[T int32 | int64] struct{ n T }

// UnmarshalJSON reads 7 and "7".
func (v *whole[T]) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(bytes.Trim(b, `"`), &v.n)
}

// alteration is the body of PATCH …/offsets.
type alteration struct {
	Offsets []struct {
		Partition struct {
			Topic     string        `json:"kafka_topic"`
			Partition *whole[int32] `json:"kafka_partition"`
		} `json:"partition"`
		Offset *struct {
			Offset *whole[int64] `json:"kafka_offset"`
		} `json:"offset"`
	} `json:"offsets"`
}

// alter is PATCH …/offsets.
func (c connect) alter(w http.ResponseWriter, r *http.Request, name string) {
	if err := c.Alterable(name); err != nil {
		altered(w, err, "")
		return
	}
	var body alteration
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, offsetsBody)).Decode(&body); err != nil || len(body.Offsets) == 0 {
		fail(w, http.StatusBadRequest, "Partitions / offsets need to be provided for an alter offsets request")
		return
	}
	offsets := map[string]map[int32]int64{}
	for _, o := range body.Offsets {
		at := Beginning
		switch {
		case o.Partition.Topic == "" || o.Partition.Partition == nil:
			fail(w, http.StatusBadRequest, "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'")
			return
		case o.Offset != nil && o.Offset.Offset == nil:
			fail(w, http.StatusBadRequest, "The offset for a sink connector should either be null or contain the key 'kafka_offset'")
			return
		case o.Offset != nil:
			if at = o.Offset.Offset.n; at < 0 {
				fail(w, http.StatusBadRequest, "kafka_offset: an offset is not negative; null is the beginning")
				return
			}
		}
		if offsets[o.Partition.Topic] == nil {
			offsets[o.Partition.Topic] = map[int32]int64{}
		}
		offsets[o.Partition.Topic][o.Partition.Partition.n] = at
	}
	altered(w, c.AlterOffsets(r.Context(), name, offsets), "The offsets for this connector have been altered successfully"+c.evaluates(name))
}

// reset is DELETE …/offsets.
func (c connect) reset(w http.ResponseWriter, r *http.Request, name string) {
	altered(w, c.ResetOffsets(r.Context(), name), "The offsets for this connector have been reset successfully"+c.evaluates(name))
}

// evaluates says what altered offsets of the transform mean (docs/decisions/0019).
func (c connect) evaluates(name string) string {
	if name != c.Names()[1] {
		return ""
	}
	return ": the entities of the records from there on are evaluated again when it runs; the offsets that its mirror is filled from stay, and GET shows those"
}

func altered(w http.ResponseWriter, err error, message string) {
	switch {
	case err == nil:
		write(w, http.StatusOK, map[string]string{"message": message})
	case errors.Is(err, ErrNotStopped), errors.Is(err, ErrBadOffsets):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, ErrNotAltered):
		fail(w, http.StatusMethodNotAllowed, err.Error())
	default:
		fail(w, http.StatusInternalServerError, err.Error())
	}
}
