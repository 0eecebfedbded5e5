package stytch

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Page sizes of a search, and the shortest fuzzy value.
const (
	defaultLimit = 100
	maxLimit     = 1000
	minFuzzy     = 3
)

// searchFields are what both searches take.
type searchFields struct {
	Cursor string       `json:"cursor"`
	Limit  *int         `json:"limit"`
	Query  *searchQuery `json:"query"`
}

type searchQuery struct {
	Operator string    `json:"operator"`
	Operands []operand `json:"operands"`
}

type operand struct {
	Name  *string         `json:"filter_name"`
	Value json.RawMessage `json:"filter_value"`
}

// page is where a search goes on and how far.
type page struct {
	after uint64 // the seq of the last result of the page before
	limit int
}

func (f searchFields) page() (page, error) {
	p := page{limit: defaultLimit}
	if f.Limit != nil && *f.Limit != 0 {
		p.limit = *f.Limit
	}
	if p.limit < 1 || p.limit > maxLimit {
		return p, refuse("user_search_invalid_limit", "The limit must be 1 to 1000.")
	}
	if f.Cursor == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(f.Cursor)
	if err == nil {
		p.after, err = strconv.ParseUint(string(raw), 36, 64)
	}
	if err != nil {
		return p, refuse("user_search_invalid_cursor", "The cursor is invalid.")
	}
	return p, nil
}

func cursor(seq uint64) *string {
	c := base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatUint(seq, 36)))
	return &c
}

func (f searchFields) operands() ([]operand, error) {
	if f.Query == nil {
		return nil, nil
	}
	if f.Query.Operator != "AND" {
		return nil, refuse("user_search_invalid_operator", "The operator must be AND.")
	}
	return f.Query.Operands, nil
}

// filter says whether an object fits one operand.
type filter[T any] func(*T) bool

func fitsAll[T any](filters []filter[T], v *T) bool {
	return !slices.ContainsFunc(filters, func(f filter[T]) bool { return !f(v) })
}

// operandReader reads operands of one kind of search; kind begins its error types.
type operandReader struct{ kind string }

func (r operandReader) name(o operand) (string, error) {
	if o.Name == nil || *o.Name == "" {
		return "", refuse(r.kind+"_missing_filter_name", "An operand has no filter_name.")
	}
	if len(o.Value) == 0 || string(o.Value) == "null" {
		return "", refuse(r.kind+"_missing_filter_value", "An operand has no filter_value.")
	}
	return *o.Name, nil
}

func (r operandReader) texts(o operand) ([]string, error) {
	var v []string
	if err := json.Unmarshal(o.Value, &v); err != nil {
		return nil, refuse(r.kind+"_expected_array_of_strings", "A filter_value must be an array of strings.")
	}
	return v, nil
}

func (r operandReader) text(o operand) (string, error) {
	var v string
	if err := json.Unmarshal(o.Value, &v); err != nil {
		return "", refuse(r.kind+"_expected_string", "A filter_value must be a string.")
	}
	return v, nil
}

func (r operandReader) fuzzy(o operand, kind string) (string, error) {
	v, err := r.text(o)
	if err != nil {
		return "", err
	}
	if len(v) < minFuzzy {
		return "", refuse(kind, "A fuzzy filter_value must have 3 characters or more.")
	}
	return strings.ToLower(v), nil
}

func (r operandReader) boolean(o operand) (bool, error) {
	var v bool
	if err := json.Unmarshal(o.Value, &v); err != nil {
		return false, refuse(r.kind+"_expected_boolean", "A filter_value must be a boolean.")
	}
	return v, nil
}

// emails are compared in lower case; one that is none is refused.
func (r operandReader) emails(o operand) ([]string, error) {
	v, err := r.texts(o)
	if err != nil {
		return nil, err
	}
	for i := range v {
		if v[i], err = normalEmail(v[i]); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// indexed says whether a search sees what was created at a time.
func (s *Simulator) indexed(created time.Time) bool {
	return s.options.SearchLag <= 0 || !created.After(s.options.Now().Add(-s.options.SearchLag))
}

func lower(v []string) []string {
	l := make([]string, len(v))
	for i := range v {
		l[i] = strings.ToLower(v[i])
	}
	return l
}

func containsFold(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }
