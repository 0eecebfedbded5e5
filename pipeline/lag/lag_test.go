package lag

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

func TestTheSlotsAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	const heartbeat = 10 * time.Second
	look := func(confirmed, sent schemas.LSN) slotLook { // the log ended at 1000 at the first look
		return slotLook{
			before: capture.SlotLook{EndLSN: 1000},
			now:    capture.SlotLook{SlotReport: capture.SlotReport{Exists: true, ConfirmedLSN: confirmed}, SentLSN: sent, EndLSN: 1010, Now: now},
		}
	}
	for name, c := range map[string]struct {
		look      slotLook
		committed time.Time
		want      float64 // below 0: not known
	}{
		"everything is confirmed":                                     {look(1000, 1000), ago(400), 0},
		"all was sent, and heartbeats come":                           {look(900, 1000), ago(9), 0},
		"all was sent, and Kafka takes no commits":                    {look(900, 1000), ago(16), 16},
		"the reader is behind":                                        {look(400, 600), ago(3), 3},
		"nobody reads it":                                             {look(400, 0), ago(7200), 7200},
		"nothing was ever committed":                                  {look(400, 600), time.Time{}, -1},
		"there is no slot":                                            {slotLook{}, ago(3), -1},
		"the source's clock went back":                                {look(400, 600), ago(-5), 0},
		"nothing was ever committed, and everything is confirmed yet": {look(1005, 1005), time.Time{}, 0},
	} {
		got := c.look.seconds(c.committed, heartbeat)
		if (got == nil) != (c.want < 0) || got != nil && *got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// written makes checkpoints at seconds, each with how many rows were read.
func written(run int64, at []float64, rows []int64) (list []*schemas.Checkpoint) {
	for i := range at {
		list = append(list, &schemas.Checkpoint{
			WrittenAt: time.Unix(0, int64(at[i]*1e9)).UTC(),
			Backfill:  schemas.Backfill{Run: run, Tables: map[string]schemas.TableProgress{"public.users": {Rows: rows[i], Estimate: 10_000}}},
		})
	}
	return list
}

func TestABackfillsETA(t *testing.T) {
	t.Parallel()
	minute := make([]float64, 0, 130)
	rows := make([]int64, 0, 130)
	for i := range int64(130) { // 100 rows/s for 70 s, then 10/s
		minute = append(minute, float64(i))
		rows = append(rows, min(i, 70)*100+max(i-70, 0)*10)
	}
	for name, c := range map[string]struct {
		checkpoints []*schemas.Checkpoint
		now         float64
		rate, eta   float64 // below 0: absent
	}{
		"no checkpoint":                      {nil, 0, -1, -1},
		"one says nothing of a rate":         {written(1, []float64{5}, []int64{100}), 5, -1, -1},
		"two":                                {written(1, []float64{0, 10}, []int64{0, 1000}), 10, 100, 90},
		"the last minute counts":             {written(1, minute, rows), 129, 700.0 / 60, 2410 / (700.0 / 60)},
		"nothing was read lately":            {written(1, []float64{0, 30}, []int64{500, 500}), 30, 0, -1},
		"nothing was written lately":         {written(1, []float64{0, 10}, []int64{0, 1000}), 100, 0, -1},
		"its turn came late":                 {written(1, []float64{0, 20, 40, 50}, []int64{0, 0, 0, 1000}), 50, 100, 90},
		"the planner was wrong":              {written(1, []float64{0, 10}, []int64{9_000, 12_000}), 10, 300, -1},
		"another run begins at zero":         {append(written(1, []float64{0, 10}, []int64{0, 9_000}), written(2, []float64{20, 30}, []int64{0, 500})...), 30, 50, 190},
		"another instance's clock is behind": {append(written(1, []float64{100, 110}, []int64{0, 100}), written(1, []float64{50, 60}, []int64{100, 200})...), 60, 10, 980},
	} {
		var tl tail
		var st admin.Status
		for _, cp := range c.checkpoints {
			tl.note(cp)
			st.FromCheckpoint(cp)
		}
		tl.rates(st.Backfill, time.Unix(0, int64(c.now*1e9)))
		for _, b := range st.Backfill {
			for what, v := range map[string]struct {
				got  *float64
				want float64
			}{"rate": {b.RowsPerSecond, c.rate}, "ETA": {b.ETASeconds, c.eta}} {
				if (v.got == nil) != (v.want < 0) || v.got != nil && (*v.got < v.want*0.98 || *v.got > v.want*1.02) {
					t.Errorf("%s: the %s is %v, want %v", name, what, v.got, v.want)
				}
			}
		}
		if len(tl.samples) > 70 {
			t.Errorf("%s: %d samples are kept", name, len(tl.samples)) // invariant 9
		}
	}
}

// header is a record batch's, with nothing behind it.
func header(first int64, count int, attributes uint16, base, maximum int64) []byte {
	b := make([]byte, headerEnd)
	binary.BigEndian.PutUint64(b, uint64(first))
	b[atMagic] = 2
	binary.BigEndian.PutUint16(b[atAttributes:], attributes)
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(count-1))
	binary.BigEndian.PutUint64(b[atBaseTime:], uint64(base))
	binary.BigEndian.PutUint64(b[atMaxTime:], uint64(maximum))
	return b
}

func TestTheTimeAtAnOffset(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw    []byte
		offset int64
		want   int64
	}{
		"the first record":                   {header(100, 11, 0, 5000, 6000), 100, 5000},
		"an offset that was compacted away":  {header(100, 11, 0, 5000, 6000), 40, 5000},
		"the last record":                    {header(100, 11, 0, 5000, 6000), 110, 6000},
		"in the middle":                      {header(100, 11, 0, 5000, 6000), 105, 5500},
		"one record":                         {header(100, 1, 0, 5000, 5000), 100, 5000},
		"the broker's clock":                 {header(100, 11, 1<<3, 5000, 9000), 100, 9000},
		"a compressed batch in transactions": {header(100, 11, 1<<4|4, 5000, 6000), 100, 5000},
	} {
		b, ok := parseBatch(c.raw)
		if got := b.timeAt(c.offset).UnixMilli(); !ok || b.control || got != c.want {
			t.Errorf("%s: %d, %t, want %d", name, got, ok, c.want)
		}
	}
	if b, ok := parseBatch(header(7, 1, 1<<4|1<<5, 1, 1)); !ok || !b.control || b.last != 7 {
		t.Errorf("a marker is taken for %+v", b)
	}
	for name, raw := range map[string][]byte{"nothing": nil, "half a header": header(1, 1, 0, 1, 1)[:30], "an old format": make([]byte, 100)} {
		if b, ok := parseBatch(raw); ok {
			t.Errorf("%s is taken for %+v", name, b)
		}
	}
}

func TestWhereTheTransformGoesOn(t *testing.T) {
	t.Parallel()
	tl := tail{topic: "acme.checkpoints", offset: 40, last: &schemas.Checkpoint{Topics: map[string]schemas.TopicEnds{"acme.public.users": {Ends: []int64{10, 0}}}}}
	for name, c := range map[string]struct {
		topic             string
		partition         int32
		stored, end, want int64
	}{
		"a marker stands at the end":            {"acme.public.users", 0, 10, 11, 11},
		"records lie there":                     {"acme.public.users", 0, 7, 11, 7},
		"markers alone were ever written":       {"acme.public.users", 1, 0, 2, 2},
		"a topic that no checkpoint knows":      {"acme.public.teams", 0, 3, 9, 3},
		"more is filled than was listed":        {"acme.public.users", 0, 15, 11, 15},
		"the last checkpoint was reached":       {"acme.checkpoints", 0, 40, 42, 42},
		"a checkpoint was reached, others came": {"acme.checkpoints", 0, 30, 42, 31},
		"no checkpoint was reached":             {"acme.checkpoints", 0, 0, 42, 0},
	} {
		if got := tl.goesOn(c.topic, c.partition, c.stored, c.end); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestATopicsSum(t *testing.T) {
	t.Parallel()
	known := func(p int32, next, end int64, bytes *int64, seconds *float64) *part {
		return &part{place: place{"g", "t", p}, start: 5, next: next, end: end, bytes: bytes, seconds: seconds}
	}
	l := group{name: "g", topic: "t", parts: []*part{
		known(0, 10, 10, new(int64(0)), new(0.0)), known(1, 0, 9, new(int64(40)), new(7.5)), known(2, 8, 9, new(int64(2)), new(1.0)),
	}}.lag()
	if l.Records != 5 || *l.Bytes != 42 || *l.Seconds != 7.5 {
		t.Errorf("the sum is %d records, %d bytes, %f s", l.Records, *l.Bytes, *l.Seconds)
	}
	if p := l.Partitions[1]; p.CurrentOffset != 5 || p.Records != 4 {
		t.Errorf("offsets that were deleted count: %+v", p)
	}
	l = group{parts: []*part{known(0, 6, 7, nil, new(3.0)), known(1, 6, 7, new(int64(1)), nil)}}.lag()
	if l.Bytes != nil || l.Seconds == nil || *l.Seconds != 3 {
		t.Errorf("with parts that are not known the sum is %v bytes, %v s; want no bytes, and the age that is known", l.Bytes, l.Seconds)
	}
	l = group{parts: []*part{known(0, 6, 7, new(int64(1)), nil)}}.lag()
	if l.Seconds != nil {
		t.Errorf("the age of what lags is %f s, want none", *l.Seconds)
	}
	for _, c := range [][4]int64{{1000, 10, 100, 100}, {1000, 100, 100, 1000}, {1000, 200, 100, 1000}, {1000, 0, 0, 0}} {
		if got := share(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%d of %d offsets in %d bytes: %d, want %d", c[1], c[2], c[0], got, c[3])
		}
	}
}
