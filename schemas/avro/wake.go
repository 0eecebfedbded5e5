package avro

import (
	"fmt"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// WakeSchema is the Avro schema of the apply topics' values, as JSON. It has no
// logical types, so that any reader can use it; the commit time is in microseconds.
func WakeSchema() string {
	text := func(name string) field { return field{name: name, node: primitive("string")} }
	long := func(name string) field { return field{name: name, node: primitive("long")} }
	return schemaText(&node{kind: "record", name: "Wake", namespace: "backstitch.apply", fields: []field{
		text("kind"), text("organization"), text("entity"), long("revision"), text("reason"),
		long("epoch"), long("commit_lsn"), long("end_lsn"), long("commit_time_us"),
	}})
}

// AppendWake adds a wake-up in Confluent's wire format.
func AppendWake(dst []byte, schemaID int, w schemas.Wake) []byte {
	dst = appendFrame(dst, schemaID)
	dst = appendString(appendString(appendString(dst, w.Kind), w.Organization), w.Entity)
	dst = appendString(appendLong(dst, w.Revision), w.Reason)
	dst = appendLong(appendLong(appendLong(dst, int64(w.Epoch)), int64(w.CommitLSN)), int64(w.EndLSN))
	return appendLong(dst, w.CommitTime.UnixMicro())
}

// DecodeWake reads a wake-up's body, the header stripped.
func DecodeWake(body []byte) (schemas.Wake, error) {
	in := &cursor{b: body}
	w := schemas.Wake{
		Kind: string(in.bytes()), Organization: string(in.bytes()), Entity: string(in.bytes()),
		Revision: in.long(), Reason: string(in.bytes()), Epoch: uint32(in.long()),
		CommitLSN: schemas.LSN(in.long()), EndLSN: schemas.LSN(in.long()),
		CommitTime: time.UnixMicro(in.long()).UTC(),
	}
	if in.err != nil {
		return schemas.Wake{}, fmt.Errorf("decode wake-up: %w", in.err)
	}
	return w, nil
}
