package avro

import (
	"strings"

	"github.com/backstitch/backstitch/schemas"
)

// elements maps the OIDs of PostgreSQL's own array types to their element types,
// for columns whose description came without one.
var elements = map[uint32]uint32{
	199: 114, 143: 142, 651: 650, 775: 774, 791: 790, 1000: 16, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23,
	1009: 25, 1014: 1042, 1015: 1043, 1016: 20, 1017: 600, 1021: 700, 1022: 701, 1028: 26, 1040: 829, 1041: 869,
	1115: 1114, 1182: 1082, 1183: 1083, 1185: 1184, 1187: 1186, 1231: 1700, 1270: 1266, 1561: 1560, 1563: 1562,
	2951: 2950, 3643: 3614, 3807: 3802, 3905: 3904, 3907: 3906, 3909: 3908, 3911: 3910, 3913: 3912, 3927: 3926,
}

// vectors are types that the catalogue calls arrays but that are not printed as such.
const (
	int2vector = 22
	oidvector  = 30
)

// codecOf finds a type's codec: PostgreSQL's own types by OID, others by enum
// labels, element type or name. A type that is not known travels as its text.
func codecOf(t schemas.TypeID) codec {
	elem := t.Elem
	if oid, ok := elements[t.OID]; ok && elem == nil {
		elem = &schemas.TypeID{OID: oid, Mod: -1}
	}
	switch {
	case elem != nil && t.OID != int2vector && t.OID != oidvector:
		e := *elem
		if e.Mod < 0 {
			e.Mod = t.Mod // an array column's modifier is its elements'
		}
		return arrayCodec(codecOf(e))
	case len(t.Enum) > 0:
		return enumCodec(t.Enum)
	}
	if c, ok := builtin(t); ok {
		return c
	}
	if c, ok := extension(t.Name); ok {
		return c
	}
	c := textCodec(primitive("string"))
	c.warning = "the type " + typeName(t) + " travels as text: Debezium leaves it out"
	return c
}

func builtin(t schemas.TypeID) (codec, bool) {
	switch t.OID {
	case 16:
		return boolCodec(), true
	case 17:
		return byteaCodec(), true
	case 18, 19, 25, 1042, 1043: // "char", name, text, char(n), varchar
		return textCodec(primitive("string")), true
	case 650, 774, 829, 869: // cidr, macaddr8, macaddr, inet
		return textCodec(primitive("string")), true
	case 3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536: // ranges and multiranges
		return textCodec(primitive("string")), true
	case 20, 26: // bigint, oid
		return intCodec(primitive("long"), 64), true
	case 21:
		return int2Codec(), true
	case 23:
		return intCodec(primitive("int"), 32), true
	case 114, 3802:
		return textCodec(semantic("string", "io.debezium.data.Json")), true
	case 142:
		return textCodec(semantic("string", "io.debezium.data.Xml")), true
	case 600:
		return pointCodec(), true
	case 700:
		return floatCodec(32), true
	case 701:
		return floatCodec(64), true
	case 790:
		return moneyCodec(), true
	case 1700:
		return numericCodec(t.Mod), true
	case 2950:
		return uuidCodec(), true
	case 3614:
		return textCodec(semantic("string", "io.debezium.data.Tsvector")), true
	case 1560, 1562:
		return bitStringCodec(t), true
	}
	return temporal(t)
}

func temporal(t schemas.TypeID) (codec, bool) {
	precision := 6
	if t.Mod >= 0 {
		precision = int(t.Mod)
	}
	switch t.OID {
	case 1082:
		return dateCodec(), true
	case 1083:
		return timeCodec(precision), true
	case 1114:
		return timestampCodec(precision), true
	case 1184:
		return zonedTimestampCodec(), true
	case 1186:
		return intervalCodec(), true
	case 1266:
		return zonedTimeCodec(), true
	}
	return codec{}, false
}

// numericCodec reads numeric's modifier: precision in the upper half, scale as 11
// bits with sign, both above a 4-byte header.
func numericCodec(mod int32) codec {
	if mod < 4 {
		return variableScaleCodec()
	}
	precision, scale := int(mod-4)>>16&0xffff, int((mod-4)&0x7ff^1024)-1024
	if scale < 0 || scale > precision { // allowed by PostgreSQL, not by Avro
		return variableScaleCodec()
	}
	return decimalCodec(precision, scale)
}

func bitStringCodec(t schemas.TypeID) codec {
	const varbit = 1562
	switch {
	case t.OID != varbit && t.Mod == 1:
		return bitCodec()
	case t.OID != varbit && t.Mod > 1:
		return bitsCodec(int(t.Mod))
	}
	c := textCodec(primitive("string"))
	c.warning = "the type bit varying travels as text: Debezium's form loses leading zeros"
	return c
}

// extension knows types of well-known extensions by their name, in whatever schema.
func extension(name string) (codec, bool) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	switch strings.Trim(name, `"`) {
	case "citext":
		return textCodec(primitive("string")), true
	case "ltree":
		return textCodec(semantic("string", "io.debezium.data.Ltree")), true
	case "hstore":
		return hstoreCodec(), true
	}
	return codec{}, false
}

func typeName(t schemas.TypeID) string {
	switch {
	case t.Declared != "":
		return t.Declared
	case t.Name != "":
		return t.Name
	}
	return "of unknown name"
}
