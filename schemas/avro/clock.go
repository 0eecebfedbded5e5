package avro

import "bytes"

const (
	microsPerSecond = 1_000_000
	microsPerMinute = 60 * microsPerSecond
	microsPerHour   = 60 * microsPerMinute
	microsPerDay    = 24 * microsPerHour
)

// millisPrecision is the highest precision that Debezium writes in milliseconds.
const millisPrecision = 3

// timeCodec is time: milliseconds up to precision 3, else microseconds.
func timeCodec(precision int) codec {
	unit, schema := int64(1), semantic("long", "io.debezium.time.MicroTime")
	if precision <= millisPrecision {
		unit, schema = 1000, semantic("int", "io.debezium.time.Time")
	}
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			micros, rest, ok := parseClock(text)
			switch {
			case !ok || len(rest) > 0:
				return dst, ErrSyntax
			case micros%unit != 0:
				return dst, ErrScale
			}
			return appendLong(dst, micros/unit), nil
		},
		text:    func(dst []byte, in *cursor) []byte { return appendClock(dst, in.long()*unit) },
		zero:    []byte{0},
		element: appendPoint,
	}
}

// parseClock reads HH:MM:SS with up to six digits of a fraction.
func parseClock(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) < 8 {
		return 0, nil, false
	}
	h, okH := digits(text[:2])
	micros, rest, ok = parseMinutes(text[2:])
	micros += h * microsPerHour
	return micros, rest, ok && okH && micros <= microsPerDay
}

// parseMinutes reads :MM:SS with up to six digits of a fraction.
func parseMinutes(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) < 6 || text[0] != ':' || text[3] != ':' {
		return 0, nil, false
	}
	m, okM := digits(text[1:3])
	s, okS := digits(text[4:6])
	fraction, rest, ok := parseFraction(text[6:])
	return m*microsPerMinute + s*microsPerSecond + fraction, rest, ok && okM && okS && m < 60 && s < 60
}

func parseFraction(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	n := 1
	for unit := int64(100_000); n < len(text) && text[n] >= '0' && text[n] <= '9'; n++ {
		micros += int64(text[n]-'0') * unit
		unit /= 10
	}
	return micros, text[n:], n > 1
}

// appendClock prints a time of day with as many digits of a fraction as it has.
func appendClock(dst []byte, micros int64) []byte {
	dst = append(appendPadded(dst, micros/microsPerHour, 2), ':')
	dst = append(appendPadded(dst, micros/microsPerMinute%60, 2), ':')
	dst = appendPadded(dst, micros/microsPerSecond%60, 2)
	return appendFraction(dst, micros%microsPerSecond)
}

func appendFraction(dst []byte, micros int64) []byte {
	if micros == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), micros, 6)
	return bytes.TrimRight(dst, "0")
}

// zonedTimeCodec is time with time zone in ISO form, its own offset kept.
func zonedTimeCodec() codec {
	c := textCodec(semantic("string", "io.debezium.time.ZonedTime"))
	c.same = false
	c.append = func(dst, text []byte) ([]byte, error) {
		sign := bytes.LastIndexAny(text, "+-")
		if sign < 8 {
			return dst, ErrSyntax
		}
		clock, zone := text[:sign], text[sign:]
		start := len(dst)
		dst = append(dst, clock...)
		switch {
		case string(zone) == "+00":
			dst = append(dst, 'Z')
		case len(zone) == 3:
			dst = append(append(dst, zone...), ":00"...)
		default:
			dst = append(dst, zone...)
		}
		return insertLength(dst, start), nil
	}
	c.text = func(dst []byte, in *cursor) []byte {
		text := in.bytes()
		if clock, utc := bytes.CutSuffix(text, []byte("Z")); utc {
			return append(append(dst, clock...), "+00"...)
		}
		if len(text) > 6 && text[len(text)-6] != ':' {
			text = bytes.TrimSuffix(text, []byte(":00"))
		}
		return append(dst, text...)
	}
	c.zero = appendString(nil, "00:00:00Z")
	return c
}
