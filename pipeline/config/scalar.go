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
