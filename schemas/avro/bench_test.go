package avro

import (
	"fmt"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// usersRelation is a users table of twelve columns as applications have it.
func usersRelation() *schemas.Relation {
	b := builtinType
	return &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "users"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: b(2950, -1), NotNull: true},
		{Name: "team_id", Type: b(20, -1), NotNull: true},
		{Name: "email", Type: b(25, -1), NotNull: true},
		{Name: "name", Type: b(1043, 259)},
		{Name: "password", Type: b(25, -1)},
		{Name: "role", Type: schemas.TypeID{OID: 50000, Mod: -1, Enum: []string{"OWNER", "ADMIN", "MEMBER"}}, NotNull: true},
		{Name: "active", Type: b(16, -1), NotNull: true},
		{Name: "login_count", Type: b(23, -1), NotNull: true},
		{Name: "balance", Type: b(1700, numericMod102)},
		{Name: "settings", Type: b(3802, -1)},
		{Name: "created_at", Type: b(1184, -1), NotNull: true},
		{Name: "email_verified_at", Type: b(1114, 3)},
	}}
}

func usersText(n int) map[string]string {
	return map[string]string{
		"id": fmt.Sprintf("a0eebc99-9c0b-4ef8-bb6d-%012d", n), "team_id": fmt.Sprint(1000 + n), "email": fmt.Sprintf("user%d@example.com", n),
		"name": "Zoë Example", "password": "$2b$10$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234", "role": "MEMBER", "active": "t",
		"login_count": "42", "balance": "1234.50", "settings": `{"theme": "dark", "locale": "en-GB"}`,
		"created_at": "2024-02-29 10:34:56.123456+00", "email_verified_at": "2024-03-01 08:00:00.5",
	}
}

func usersChange(rel *schemas.Relation) *schemas.Change {
	return &schemas.Change{
		Op: schemas.Update, Relation: rel, New: rowOf(rel, usersText(7)), XID: 501274,
		Version:    schemas.Version{Epoch: 1, Commit: 924104720, Change: 924104000},
		CommitTime: time.UnixMicro(1795414809287299),
	}
}

// The hot path allocates nothing but the growth of its destination.
func TestEncodingDoesNotAllocate(t *testing.T) {
	rel := usersRelation()
	tab, ch, buf := table(t, rel), usersChange(rel), make([]byte, 0, 20_000)
	full := rowOf(typesRelation(), typesText("10"))
	types := table(t, typesRelation())
	now := time.UnixMicro(1795414809616564)
	for name, encode := range map[string]func() ([]byte, error){
		"key":        func() ([]byte, error) { return tab.AppendKey(buf[:0], 1, ch.New) },
		"value":      func() ([]byte, error) { return tab.AppendValue(buf[:0], 1, ch, now) },
		"every type": func() ([]byte, error) { return types.appendImage(buf[:0], full) },
	} {
		var err error
		if n := testing.AllocsPerRun(200, func() { buf, err = encode() }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations (%v)", name, n, err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	rel := usersRelation()
	tab, ch, buf := table(b, rel), usersChange(rel), make([]byte, 0, 4096)
	now := time.UnixMicro(1795414809616564)
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = tab.AppendKey(buf[:0], 1, ch.New); err != nil {
			b.Fatal(err)
		}
		if buf, err = tab.AppendValue(buf, 2, ch, now); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	rel := usersRelation()
	tab := table(b, rel)
	record, err := tab.AppendValue(nil, 2, usersChange(rel), time.UnixMicro(1795414809616564))
	if err != nil {
		b.Fatal(err)
	}
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	var ev Event
	for b.Loop() {
		if err := d.DecodeInto(record[5:], &ev); err != nil {
			b.Fatal(err)
		}
	}
}

// The codec of record on the same record, for comparison.
func BenchmarkGoavroDecode(b *testing.B) {
	rel := usersRelation()
	tab := table(b, rel)
	record, err := tab.AppendValue(nil, 2, usersChange(rel), time.UnixMicro(1795414809616564))
	if err != nil {
		b.Fatal(err)
	}
	codec := codecFromText(b, tab.ValueSchema())
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := codec.NativeFromBinary(record[5:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGoavroEncode(b *testing.B) {
	rel := usersRelation()
	tab := table(b, rel)
	record, err := tab.AppendValue(nil, 2, usersChange(rel), time.UnixMicro(1795414809616564))
	if err != nil {
		b.Fatal(err)
	}
	codec := codecFromText(b, tab.ValueSchema())
	value, _, err := codec.NativeFromBinary(record[5:])
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = codec.BinaryFromNative(buf[:0], value); err != nil {
			b.Fatal(err)
		}
	}
}
