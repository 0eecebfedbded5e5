package producers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/schemas"
)

// ResolveTypes describes types by OID and modifier, as the stream names them. A
// type that the catalogue does not have any more comes as text without a name of
// its own: its values are their text form either way.
func ResolveTypes(ctx context.Context, conn *pgx.Conn, oids []uint32, mods []int32) ([]schemas.TypeID, error) {
	types, err := loadTypes(ctx, conn, oids)
	if err != nil {
		return nil, fmt.Errorf("describe the stream's types: %w", err)
	}
	ids := make([]schemas.TypeID, len(oids))
	for i, oid := range oids {
		if types[oid] == nil {
			ids[i] = schemas.TypeID{OID: 25, Mod: -1, Name: "text", Declared: "text"}
			continue
		}
		ids[i] = types.resolve(oid, mods[i])
	}
	return ids, nil
}
