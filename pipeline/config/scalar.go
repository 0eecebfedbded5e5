package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Secret is a value that never shows itself: printed, logged or marshalled it is
// a placeholder (invariant 8).
type Secret string

const masked = "[secret]"

// Reveal is the value itself, for whoever connects with it.
func (s Secret) Reveal() string { return string(s) }

// String is a placeholder.
func (s Secret) String() string { return masked }

// GoString is a placeholder.
func (s Secret) GoString() string { return masked }

// LogValue is a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalJSON writes a placeholder.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(masked) }

// Rate is a number of requests per second, written "60/s".
type Rate int

// String is the written form.
func (r Rate) String() string { return strconv.Itoa(int(r)) + "/s" }

// ParseRate reads the written form: 1/s to 10000/s.
func ParseRate(s string) (Rate, error) {
	digits, ok := strings.CutSuffix(strings.TrimSpace(s), "/s")
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if !ok || err != nil || n < 1 || n > 10000 {
		return 0, fmt.Errorf("want requests per second from 1/s to 10000/s, such as 60/s")
	}
	return Rate(n), nil
}

// ParseSize reads a number of bytes in PostgreSQL's units, which count by 1024:
// 512kB, 16MB, 10GB, 1.5TB. 0 needs no unit.
func ParseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "0" {
		return 0, nil
	}
	for i, unit := range []string{"kB", "MB", "GB", "TB"} {
		digits, ok := strings.CutSuffix(s, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(n >= 0 && n < 1<<20) {
			break
		}
		return int64(n * float64(int64(1)<<(10*(i+1)))), nil
	}
	return 0, fmt.Errorf("want a size such as 512MB or 10GB, below 1048576 of its unit")
}
