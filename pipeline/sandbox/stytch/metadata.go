package stytch

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Stytch's limits on a metadata object, checked on the merged one.
const (
	maxMetadataKeys  = 20
	maxMetadataBytes = 4096
)

// mergeMetadata applies an update: keys of the top level are replaced whole, null
// removes one, the others stay.
func mergeMetadata(old map[string]any, update json.RawMessage) (map[string]any, error) {
	if len(update) == 0 || string(update) == "null" {
		return old, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(update))
	decoder.UseNumber() // a float would change large integers
	var patch map[string]any
	if err := decoder.Decode(&patch); err != nil {
		return nil, refuse("metadata_invalid_format", "Metadata must be a JSON object.")
	}
	merged := make(map[string]any, len(old)+len(patch))
	maps.Copy(merged, old)
	for k, v := range patch {
		if v == nil {
			delete(merged, k)
			continue
		}
		merged[k] = v
	}
	if len(merged) > maxMetadataKeys {
		return nil, refuse("metadata_too_many_keys", "Metadata may have 20 keys at most.")
	}
	var size bytes.Buffer
	encoder := json.NewEncoder(&size)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(merged); err != nil {
		return nil, refuse("metadata_invalid_format", "Metadata must be a JSON object.")
	}
	if size.Len()-1 > maxMetadataBytes { // the encoder adds a line feed
		return nil, refuse("metadata_too_large", "Metadata may be 4 KB at most.")
	}
	return merged, nil
}
