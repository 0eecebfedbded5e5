package capture_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/avro"
	"github.com/backstitch/backstitch/schemas/registry"
)

const patience = 60 * time.Second

// rig is a source database, a Kafka prefix and a registry of a test's own.
type rig struct {
	t        *testing.T
	url      string
	kafka    []kgo.Opt
	registry *registry.Registry
	// registryURL is where another process finds the registry.
	registryURL string
	cfg         capture.Config
	sql         *pgx.Conn
	keys        map[uint32]*avro.KeyDecoder
	values      map[uint32]*avro.Decoder
	log         *bytes.Buffer
	logMu       sync.Mutex
}

func (r *rig) Write(p []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logged() string {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.String()
}

func newRig(t *testing.T, ddl string, tables ...string) *rig {
	t.Helper()
	return newRigOn(t, testenv.Postgres(t), ddl, tables...)
}

func newRigOn(t *testing.T, url, ddl string, tables ...string) *rig {
	t.Helper()
	registryURL := testenv.Registry(t)
	reg, err := registry.New(registryURL)
	if err != nil {
		t.Fatal(err)
	}
	prefix := testenv.Name(t)
	r := &rig{
		t: t, url: url, registry: reg, registryURL: registryURL, log: &bytes.Buffer{}, keys: map[uint32]*avro.KeyDecoder{}, values: map[uint32]*avro.Decoder{},
		kafka: []kgo.Opt{kgo.SeedBrokers(testenv.Kafka(t)...)},
		cfg: capture.Config{
			Prefix: prefix, Partitions: 3, CreateTopics: true, Heartbeat: time.Second, GuardEvery: 200 * time.Millisecond,
		},
	}
	for _, name := range tables {
		table, err := schemas.ParseTable(name)
		if err != nil {
			t.Fatal(err)
		}
		r.cfg.Tables = append(r.cfg.Tables, table)
	}
	r.sql = r.connect()
	r.exec(ddl)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the source's log:\n%s", r.logged())
		}
	})
	return r
}

func (r *rig) connect() *pgx.Conn {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		conn.Close(ctx)
	})
	return conn
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	if _, err := r.sql.Exec(r.t.Context(), sql, args...); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

func (r *rig) scan(dst any, sql string, args ...any) {
	r.t.Helper()
	if err := r.sql.QueryRow(r.t.Context(), sql, args...).Scan(dst); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

func (r *rig) source(change ...func(*capture.Config, *capture.Deps)) *capture.Source {
	r.t.Helper()
	config, err := pgx.ParseConfig(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := r.cfg
	deps := capture.Deps{
		Source: config, Kafka: r.kafka, Registry: r.registry,
		Logger: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg, &deps)
	}
	return capture.New(cfg, deps)
}

// start runs a source until the test ends or it is stopped before.
func (r *rig) start(change ...func(*capture.Config, *capture.Deps)) *capture.Source {
	r.t.Helper()
	s := r.source(change...)
	s.Start(context.Background())
	r.t.Cleanup(func() { r.stop(s) })
	return s
}

func (r *rig) stop(s *capture.Source) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = s.Stop(ctx)
}

// kill cancels a source without a drain, as a crash would.
func kill(s *capture.Source) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Stop(ctx)
}

// until polls a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for: %s", patience, what)
		}
		<-tick.C
	}
}

func (r *rig) checkpoint() *schemas.Checkpoint {
	r.t.Helper()
	c, err := capture.LastCheckpoint(r.t.Context(), r.kafka, r.cfg.Prefix)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// checkpointOf is the last checkpoint of a source that has ended, once readers see it:
// the broker says that a transaction has committed before they do.
func (r *rig) checkpointOf(s *capture.Source) (c *schemas.Checkpoint) {
	r.t.Helper()
	r.until("readers to see the last checkpoint", func() bool {
		c = r.checkpoint()
		return c != nil && c.Position.Version.Compare(s.Status().Position.Version) >= 0
	})
	return c
}

// caughtUp waits until everything that was committed before is in the topics and
// every table was read (hazard A19).
func (r *rig) caughtUp(s *capture.Source) {
	r.t.Helper()
	r.until("the first backfill", func() bool {
		if err := s.Err(); err != nil {
			r.t.Fatalf("the source ended: %v", err)
		}
		return s.Status().FirstComplete && s.Status().State == capture.StateRunning
	})
	r.until("tables that were added to be read", func() bool {
		read := r.checkpoint().Backfill.Tables
		return !slices.ContainsFunc(r.cfg.Tables, func(t schemas.Table) bool { return !read[t.String()].Done })
	})
	lsn, err := capture.Heartbeat(r.t.Context(), r.sql)
	if err != nil {
		r.t.Fatal(err)
	}
	beyond := func(p schemas.Position) bool {
		return p.EndsTransaction && (p.EndLSN >= lsn || p.Version.Commit >= lsn)
	}
	r.until("the heartbeat at "+lsn.String(), func() bool { return beyond(s.Status().Position) })
	// the broker says that a transaction has committed before everybody sees it
	r.until("readers to see it", func() bool { c := r.checkpoint(); return c != nil && beyond(c.Position) })
}

// record is a data record as a read_committed reader sees it.
type record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string // the key's values
	Op        schemas.Op
	Tombstone bool
	After     map[string]string // NULL is absent; an unchanged TOAST value is "\x00unchanged"
	Version   schemas.Version
	Headers   map[string]string
}

const unchanged = "\x00unchanged"

// records reads every data topic up to the last checkpoint's ends.
func (r *rig) records() []record {
	r.t.Helper()
	c := r.checkpoint()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	start := map[string]map[int32]kgo.Offset{}
	left := 0
	ends := map[string]map[int32]int64{}
	for topic, t := range c.Topics {
		start[topic], ends[topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		for p, end := range t.Ends {
			if end > 0 {
				start[topic][int32(p)], ends[topic][int32(p)] = kgo.NewOffset().AtStart(), end
				left++
			}
		}
		if len(start[topic]) == 0 {
			delete(start, topic)
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.ConsumePartitions(start), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()}, r.kafka...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	var out []record
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("read the data topics: %v", err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			k := it.Next()
			if end := ends[k.Topic][k.Partition]; end > 0 && k.Offset+1 >= end {
				ends[k.Topic][k.Partition] = 0
				left--
			}
			if !k.Attrs.IsControl() {
				out = append(out, r.decode(k))
			}
		}
	}
	return out
}

func (r *rig) decode(k *kgo.Record) record {
	r.t.Helper()
	out := record{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Tombstone: k.Value == nil, Headers: map[string]string{}}
	for _, h := range k.Headers {
		out.Headers[h.Key] = string(h.Value)
	}
	var err error
	if out.Version, err = schemas.ParseVersion(out.Headers[schemas.HeaderVersion]); err != nil {
		r.t.Fatalf("record %s/%d/%d: %v", k.Topic, k.Partition, k.Offset, err)
	}
	keys := decoderOf(r, r.keys, k.Key, avro.NewKeyDecoder)
	values, err := keys.Decode(k.Key[5:])
	if err != nil {
		r.t.Fatal(err)
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = string(v.Data)
	}
	out.Key = strings.Join(parts, "|")
	if k.Value == nil {
		return out
	}
	decoder := decoderOf(r, r.values, k.Value, avro.NewDecoder)
	ev, err := decoder.Decode(k.Value[5:])
	if err != nil {
		r.t.Fatal(err)
	}
	out.Op = ev.Op
	if ev.After != nil {
		out.After = map[string]string{}
	}
	for i, v := range ev.After {
		switch v.State {
		case schemas.Text:
			out.After[decoder.Columns()[i]] = string(v.Data)
		case schemas.Unchanged:
			out.After[decoder.Columns()[i]] = unchanged
		default:
		}
	}
	return out
}

// decoderOf remembers the decoder of a schema id.
func decoderOf[D any](r *rig, known map[uint32]D, b []byte, compile func(string) (D, error)) D {
	r.t.Helper()
	id := binary.BigEndian.Uint32(b[1:5])
	d, ok := known[id]
	if ok {
		return d
	}
	text, err := r.registry.Schema(r.t.Context(), int(id))
	if err != nil {
		r.t.Fatal(err)
	}
	if d, err = compile(text); err != nil {
		r.t.Fatal(err)
	}
	known[id] = d
	return d
}

// verify checks invariants 2 and 3 on what a read_committed reader sees, and that
// the topics fold to the database's state: per key versions never decrease, no
// event comes twice, every row is there as it is now.
func (r *rig) verify(records []record) {
	r.t.Helper()
	type place struct{ topic, key string }
	last := map[place]schemas.Version{}
	seen := map[string]bool{}
	state := map[place]map[string]string{}
	gone := map[place]map[string]string{} // a key change may need what the old key's row had (hazard S6)
	for _, k := range records {
		p := place{k.Topic, k.Key}
		if k.Version.Compare(last[p]) < 0 {
			r.t.Errorf("%s key %s: version %s stands after %s (invariant 3)", k.Topic, k.Key, k.Version, last[p])
		}
		last[p] = k.Version
		id := fmt.Sprint(k.Topic, k.Key, k.Version, k.Tombstone, k.Op)
		if seen[id] {
			r.t.Errorf("%s key %s: version %s op %c came twice (invariant 2)", k.Topic, k.Key, k.Version, k.Op)
		}
		seen[id] = true
	}
	// A key change spans partitions: the delete of a version comes before its create.
	slices.SortStableFunc(records, func(a, b record) int {
		if c := a.Version.Compare(b.Version); c != 0 {
			return c
		}
		return cmp.Compare(boolInt(b.Op == schemas.Delete), boolInt(a.Op == schemas.Delete))
	})
	for _, k := range records {
		p := place{k.Topic, k.Key}
		switch {
		case k.Tombstone:
		case k.Op == schemas.Delete:
			gone[p] = state[p]
			delete(state, p)
		default:
			base := state[p]
			if old := k.Headers["__debezium.oldkey"]; old != "" {
				base = gone[place{k.Topic, old[strings.Index(old, ":")+1 : len(old)-1]}]
			}
			for column, v := range k.After {
				if v == unchanged {
					k.After[column] = base[column]
				}
			}
			state[p] = k.After
		}
	}
	for _, t := range r.cfg.Tables {
		topic := schemas.DataTopic(r.cfg.Prefix, t)
		want := r.rows(t)
		got := 0
		for p, row := range state {
			if p.topic != topic {
				continue
			}
			got++
			if w, ok := want[p.key]; !ok {
				r.t.Errorf("%s: key %s is in the topic and not in the table", t, p.key)
			} else if fmt.Sprint(w) != fmt.Sprint(row) {
				r.t.Errorf("%s: key %s is %.200s, want %.200s", t, p.key, fmt.Sprint(row), fmt.Sprint(w))
			}
		}
		if got != len(want) {
			r.t.Errorf("%s: %d rows in the topic, want %d", t, got, len(want))
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rows reads a table as text, by its key.
func (r *rig) rows(t schemas.Table) map[string]map[string]string {
	r.t.Helper()
	var key []string
	r.scan(&key, `SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum)) FROM pg_index i
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = $1::regclass AND i.indisprimary`, t.SQL())
	rows, err := r.sql.Query(r.t.Context(), "SELECT * FROM "+t.SQL(), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]map[string]string{}
	for rows.Next() {
		row := map[string]string{}
		for i, f := range rows.FieldDescriptions() {
			if raw := rows.RawValues()[i]; raw != nil {
				row[f.Name] = string(raw)
			}
		}
		parts := make([]string, len(key))
		for i, k := range key {
			parts[i] = row[k]
		}
		out[strings.Join(parts, "|")] = row
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// controls reads the control records.
func (r *rig) controls() []schemas.Control {
	r.t.Helper()
	var out []schemas.Control
	err := publisher.ReadControls(r.t.Context(), r.kafka, r.cfg.Prefix, func(c *schemas.Control) { out = append(out, *c) })
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// newOwnRig is a rig on a PostgreSQL server of its own, whose settings it may change.
func newOwnRig(t *testing.T, ddl string, tables ...string) *rig {
	t.Helper()
	return newRigOn(t, testenv.OwnDatabase(t), ddl, tables...)
}

func (r *rig) recreateTopic(topic string) {
	r.t.Helper()
	client, err := kgo.NewClient(r.kafka...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if _, err := adm.DeleteTopics(r.t.Context(), topic); err != nil {
		r.t.Fatal(err)
	}
	r.until("the topic's new life", func() bool {
		created, err := adm.CreateTopic(r.t.Context(), 3, 1, nil, topic)
		return err == nil && created.Err == nil
	})
}
