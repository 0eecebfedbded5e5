package witness

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/linkedin/goavro/v2"
)

// Reader decodes values in Confluent's wire format as an outside reader does: by
// the schema that the registry holds under the record's schema id.
type Reader struct {
	url    string
	codecs map[uint32]*goavro.Codec
}

// NewReader makes a reader of the registry at url.
func NewReader(url string) *Reader { return &Reader{url: url, codecs: map[uint32]*goavro.Codec{}} }

// Decode reads one key or value into goavro's native form.
func (r *Reader) Decode(b []byte) (map[string]any, error) {
	if len(b) < 5 || b[0] != 0 {
		return nil, fmt.Errorf("%d bytes without the wire format's header", len(b))
	}
	codec, err := r.codec(binary.BigEndian.Uint32(b[1:5]))
	if err != nil {
		return nil, err
	}
	native, rest, err := codec.NativeFromBinary(b[5:])
	if err != nil {
		return nil, fmt.Errorf("goavro: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("goavro leaves %d bytes", len(rest))
	}
	object, ok := native.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("goavro reads a %T, want a record", native)
	}
	return object, nil
}

func (r *Reader) codec(id uint32) (*goavro.Codec, error) {
	if c, ok := r.codecs[id]; ok {
		return c, nil
	}
	res, err := http.Get(fmt.Sprintf("%s/schemas/ids/%d", r.url, id))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var body struct {
		Schema string `json:"schema"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("schema %d: %s %w", id, res.Status, err)
	}
	c, err := goavro.NewCodec(body.Schema)
	if err != nil {
		return nil, fmt.Errorf("goavro refuses schema %d: %w", id, err)
	}
	r.codecs[id] = c
	return c, nil
}

// plain strips goavro's unions: {"string": "x"} is "x".
func plain(v any) any {
	if union, ok := v.(map[string]any); ok && len(union) == 1 {
		for _, inner := range union {
			return inner
		}
	}
	return v
}
