package transform

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

// hazard C30: what a poll delivers is counted beside a fill that moves what is filled.
// Every record is handed out once, in its order. The race detector proves the rest
// (go test -race -run TestAPollBesideAFill); it needs no servers.
func TestAPollBesideAFill(t *testing.T) {
	t.Parallel()
	rel := &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "docs"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.TypeID{OID: 23, Mod: -1, Name: "integer", Declared: "integer"}, NotNull: true},
		{Name: "name", Type: schemas.TypeID{OID: 25, Mod: -1, Name: "text", Declared: "text"}},
	}}
	codec, err := avro.NewTable("t", "legacy", rel)
	if err != nil {
		t.Fatal(err)
	}
	const keyID, valueID = 1, 2
	schema := func(_ context.Context, id int) (string, error) {
		return map[int]string{keyID: codec.KeySchema(), valueID: codec.ValueSchema()}[id], nil
	}
	r, err := newReader([]kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, "t", 0, 1, schema, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	table := &mirrorTable{table: rel.Table, topic: "t.public.docs", columns: []string{"id", "name"}, types: []string{"integer", "text"}, keys: 1}
	tp := topicPartition{table.topic, 0}
	r.assign(table, "", 1, map[topicPartition]int64{})

	const polls, each = 200, 20
	record := func(offset int) *kgo.Record {
		version := schemas.Version{Epoch: 1, Commit: schemas.LSN(offset + 1), Change: schemas.LSN(offset + 1)}
		values := row([]any{offset, fmt.Sprint("n", offset)})
		value, err := codec.AppendValue(nil, valueID, &schemas.Change{Op: schemas.Create, Relation: rel, Version: version, New: values, CommitTime: time.Now()}, time.Now())
		if err != nil {
			t.Error(err)
		}
		return &kgo.Record{
			Topic: table.topic, Offset: int64(offset), Value: value,
			Headers: []kgo.RecordHeader{{Key: schemas.HeaderVersion, Value: version.Append(nil)}},
		}
	}
	var polling sync.WaitGroup
	polling.Go(func() {
		for poll := range polls {
			p := kgo.FetchTopicPartition{Topic: table.topic}
			for i := range each {
				p.Records = append(p.Records, record(poll*each+i))
			}
			if err := r.accept(t.Context(), p); err != nil {
				t.Error(err)
			}
			r.signal()
		}
	})
	defer polling.Wait()
	ends := map[topicPartition]int64{tp: polls * each}
	for want := int64(0); want < polls*each; {
		b, _, err := r.take(t.Context(), ends, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.events[table] {
			if e.offset != want {
				t.Fatalf("the record at offset %d came, want %d", e.offset, want)
			}
			want++
		}
	}
	if filled := r.filled()[tp]; filled != polls*each {
		t.Errorf("filled up to %d of %d", filled, polls*each)
	}
}
