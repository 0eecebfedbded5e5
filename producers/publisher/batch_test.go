package publisher

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/backstitch/backstitch/schemas"
)

// Whatever is appended in whatever sizes, also beyond a slab, comes out as it was
// put in, and a batch that is used again holds nothing of before.
func TestBatchKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &Batch{}
		for range rapid.IntRange(1, 3).Draw(t, "uses") {
			var want [][]byte
			for i := range rapid.IntRange(1, 40).Draw(t, "records") {
				size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(3<<10, 9<<10), rapid.Just(slabSize+7)).Draw(t, "size")
				value := bytes.Repeat([]byte{byte(i)}, size)
				want = append(want, value)
				key := b.keep(append(b.space(), fmt.Sprint(i)...))
				b.add("t", 0, key, b.keep(append(b.space(), value...)), b.header(1))
			}
			if b.Records() != len(want) {
				t.Fatalf("%d records, want %d", b.Records(), len(want))
			}
			for i, value := range want {
				r := b.chunks[i/chunkSize][i%chunkSize]
				if string(r.Key) != fmt.Sprint(i) || !bytes.Equal(r.Value, value) {
					t.Fatalf("record %d is not what was put in", i)
				}
			}
			b.reset()
			if b.Records() != 0 || b.Bytes() != 0 || b.Controls() != 0 {
				t.Fatal("a reset batch is not empty")
			}
		}
	})
}

// Debezium's headers of a key change show numbers bare and everything else quoted.
func TestKeyText(t *testing.T) {
	t.Parallel()
	rel := &schemas.Relation{
		Columns: []schemas.Column{{Name: "id", Type: schemas.TypeID{OID: 23}}, {Name: "v"}, {Name: "code", Type: schemas.TypeID{OID: 25}}},
		Key:     []int{2, 0},
	}
	text := func(s string) schemas.Value { return schemas.Value{State: schemas.Text, Data: []byte(s)} }
	got, err := keyText(rel, schemas.Row{text("7"), text("x"), text(`a"b`)})
	if err != nil || string(got) != `{"code":"a\"b","id":7}` {
		t.Fatalf("%s, %v", got, err)
	}
}
