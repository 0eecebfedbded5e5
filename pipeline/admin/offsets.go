package admin

import (
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

// alter is PATCH …/offsets.
func (c connect) alter(w http.ResponseWriter, r *http.Request, name string) {
	var body struct {
		Offsets []struct {
			Partition struct {
				Topic     string `json:"kafka_topic"`
				Partition *int32 `json:"kafka_partition"`
			} `json:"partition"`
			Offset struct {
				Offset *int64 `json:"kafka_offset"`
			} `json:"offset"`
		} `json:"offsets"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, offsetsBody)).Decode(&body); err != nil || len(body.Offsets) == 0 {
		fail(w, http.StatusBadRequest, "Partitions / offsets need to be provided for an alter offsets request")
		return
	}
	offsets := map[string]map[int32]int64{}
	for _, o := range body.Offsets {
		if o.Partition.Topic == "" || o.Partition.Partition == nil || o.Offset.Offset == nil {
			fail(w, http.StatusBadRequest, `want {"partition": {"kafka_topic": T, "kafka_partition": P}, "offset": {"kafka_offset": N}}`)
			return
		}
		if offsets[o.Partition.Topic] == nil {
			offsets[o.Partition.Topic] = map[int32]int64{}
		}
		offsets[o.Partition.Topic][*o.Partition.Partition] = *o.Offset.Offset
	}
	altered(w, c.AlterOffsets(r.Context(), name, offsets), "The offsets for this connector have been altered successfully")
}

// reset is DELETE …/offsets.
func (c connect) reset(w http.ResponseWriter, r *http.Request, name string) {
	altered(w, c.ResetOffsets(r.Context(), name), "The offsets for this connector have been reset successfully")
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
