package avro

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

func oneColumn(c schemas.Column) *schemas.Relation {
	return &schemas.Relation{Table: schemas.Table{Schema: "public", Name: "one"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: builtinType(23, -1), NotNull: true}, c,
	}}
}

func encodeOne(t *testing.T, c schemas.Column, v schemas.Value) ([]byte, error) {
	t.Helper()
	rel := oneColumn(c)
	id := schemas.Value{State: schemas.Text, Data: []byte("1")}
	return table(t, rel).AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: schemas.Row{id, v}}, time.Unix(0, 0))
}

// What cannot travel exactly is refused with its reason, and never becomes null,
// rounded or another value. The error does not carry the value (invariant 8).
func TestInexactValuesAreRefused(t *testing.T) {
	t.Parallel()
	text := builtinType(25, -1)
	for _, test := range []struct {
		name string
		typ  schemas.TypeID
		text string
		want error
	}{
		{"excess scale", builtinType(1700, numericMod102), "1.005", ErrScale},
		{"excess precision", builtinType(1700, numericMod102), "123456789.00", ErrPrecision},
		{"NaN in numeric(p,s)", builtinType(1700, numericMod102), "NaN", ErrNotANumber},
		{"NaN in numeric", builtinType(1700, -1), "NaN", ErrNotANumber},
		{"infinity", builtinType(1700, -1), "Infinity", ErrInfinity},
		{"negative infinity", builtinType(1700, -1), "-Infinity", ErrInfinity},
		{"numeric in scientific form", builtinType(1700, -1), "1e5", ErrSyntax},
		{"timestamp beyond a long", builtinType(1114, -1), "294276-12-31 23:59:59.999999", ErrRange},
		{"timestamp with more digits than its precision", builtinType(1114, 3), "2024-01-01 00:00:00.1234", ErrScale},
		{"time with more digits than its precision", builtinType(1083, 3), "00:00:00.1234", ErrScale},
		{"a date in another DateStyle", builtinType(1082, -1), "02/03/2024", ErrSyntax}, // hazard S9
		{"a timestamp in another zone's form", builtinType(1184, -1), "2024-02-29 12:34:56 CET", ErrSyntax},
		{"bytea in escape form", builtinType(17, -1), `abc\000`, ErrSyntax},
		{"money of another locale", builtinType(790, -1), "1.234,56 €", ErrSyntax},
		{"money without cents", builtinType(790, -1), "$1,235", ErrSyntax},
		{"two dimensions", arrayType(1009, -1, 25), "{{a,b},{c,d}}", ErrDimensions},
		{"own bounds", arrayType(1009, -1, 25), "[0:1]={a,b}", ErrDimensions},
		{"an open array", arrayType(1009, -1, 25), "{a,b", ErrSyntax},
		{"an open quote", arrayType(1009, -1, 25), `{"a}`, ErrSyntax},
		{"an array element", arrayType(1231, numericMod102, 1700), "{1.00,NaN}", ErrNotANumber},
		{"the placeholder", text, placeholder, ErrPlaceholder},
		{"the placeholder as an array", arrayType(1009, -1, 25), "{" + placeholder + "}", ErrPlaceholder},
		{"the placeholder as bytes", builtinType(17, -1), fmt.Sprintf(`\x%x`, placeholder), ErrPlaceholder},
		{"the placeholder as a number", builtinType(1700, -1), new(big.Int).SetBytes([]byte(placeholder)).String(), ErrPlaceholder},
		{"int4 overflow", builtinType(23, -1), "2147483648", ErrSyntax},
		{"a boolean's long form", builtinType(16, -1), "true", ErrSyntax},
		{"bits of another length", builtinType(1560, 5), "1010", ErrSyntax},
		{"hstore cut short", namedType(60000, "hstore"), `"a"=>`, ErrSyntax},
	} {
		for _, notNull := range []bool{true, false} {
			_, err := encodeOne(t, schemas.Column{Name: "v", Type: test.typ, NotNull: notNull}, schemas.Value{State: schemas.Text, Data: []byte(test.text)})
			var refused *ValueError
			if !errors.As(err, &refused) || !errors.Is(err, test.want) || refused.Column != "v" {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
				continue
			}
			if test.text != "NaN" && strings.Contains(err.Error(), test.text) {
				t.Errorf("%s: the error carries the value", test.name)
			}
		}
	}
}

// Hazard S24: old WAL holds a NULL, the column is NOT NULL today. The caller derives
// the table again with the column nullable.
func TestNullInNotNull(t *testing.T) {
	t.Parallel()
	c := schemas.Column{Name: "v", Type: builtinType(25, -1), NotNull: true}
	_, err := encodeOne(t, c, schemas.Value{State: schemas.Null})
	var null *NullError
	if !errors.As(err, &null) || null.Column != "v" || null.Index != 1 {
		t.Fatalf("got %v", err)
	}
	rel := oneColumn(c)
	rel.Columns[null.Index].NotNull = false
	id := schemas.Value{State: schemas.Text, Data: []byte("1")}
	tab := table(t, rel)
	b, err := tab.AppendValue(nil, 1, &schemas.Change{Op: schemas.Create, Relation: rel, New: schemas.Row{id, {State: schemas.Null}}}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(tab.ValueSchema())
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := d.Decode(b[5:]); err != nil || ev.After[1].State != schemas.Null {
		t.Errorf("the NULL came back as %+v (%v)", ev.After, err)
	}
}

// An unchanged TOAST value comes back as such from every type that can be TOASTed,
// and from arrays of every type.
func TestUnchangedComesBack(t *testing.T) {
	t.Parallel()
	all := kinds()
	for _, k := range kinds() {
		all = append(all, arrayOf(k))
	}
	scalars := 0
	for _, k := range all {
		for _, notNull := range []bool{true, false} {
			c := schemas.Column{Name: "v", Type: k.typ, NotNull: notNull}
			b, err := encodeOne(t, c, schemas.Value{State: schemas.Unchanged})
			if err != nil {
				if !errors.Is(err, ErrUnchanged) || strings.HasSuffix(k.name, "_array") {
					t.Errorf("%s: %v", k.name, err)
				}
				scalars++
				continue
			}
			native(t, codecFromText(t, table(t, oneColumn(c)).ValueSchema()), b[5:])
			d, err := NewDecoder(table(t, oneColumn(c)).ValueSchema())
			if err != nil {
				t.Fatal(err)
			}
			if ev, err := d.Decode(b[5:]); err != nil || ev.After[1].State != schemas.Unchanged {
				t.Errorf("%s: came back as %+v (%v)", k.name, ev.After, err)
			}
		}
	}
	if scalars == 0 {
		t.Error("every type has a placeholder: types that are never TOASTed need none")
	}
}

func TestMalformedChanges(t *testing.T) {
	t.Parallel()
	rel := fullRelation()
	tab := table(t, rel)
	row := rowOf(rel, map[string]string{"id": "1"})
	if b, err := tab.AppendValue([]byte("before"), 1, &schemas.Change{Op: schemas.Create, New: schemas.Row{{}, {}, {}}}, time.Unix(0, 0)); err == nil || string(b) != "before" {
		t.Errorf("after an error the destination is %q (%v)", b, err)
	}
	if b, err := tab.AppendKey([]byte("before"), 1, schemas.Row{{}, {}, {}}); err == nil || string(b) != "before" {
		t.Errorf("after an error the destination is %q (%v)", b, err)
	}
	for name, ch := range map[string]*schemas.Change{
		"a delete without its old image": {Op: schemas.Delete, New: row},
		"a create without its new image": {Op: schemas.Create, Old: row},
		"a row of another length":        {Op: schemas.Create, New: row[:2]},
	} {
		if _, err := tab.AppendValue(nil, 1, ch, time.Unix(0, 0)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	row[0] = schemas.Value{State: schemas.Absent}
	if _, err := tab.AppendKey(nil, 1, row); err == nil {
		t.Error("a key without a value was written")
	}
	if _, err := tab.AppendKey(nil, 1, row[:1]); err == nil {
		t.Error("a key of a row of another length was written")
	}
}
