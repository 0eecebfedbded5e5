package schemas

// DataTopic is the topic of a captured table: <prefix>.<schema>.<table>.
func DataTopic(prefix string, t Table) string { return prefix + "." + t.Schema + "." + t.Name }

// CheckpointsTopic is the one-partition topic of checkpoints and control records.
func CheckpointsTopic(prefix string) string { return prefix + ".checkpoints" }

// Lane is one of the two queues to Stytch: live changes go first.
type Lane string

// The lanes.
const (
	LaneLive     Lane = "live"
	LaneBackfill Lane = "backfill"
)

// ApplyTopic is the topic of a lane's wake-ups.
func ApplyTopic(prefix string, l Lane) string { return prefix + ".apply." + string(l) }

// Partition is the partition of a key among n: murmur2 as Kafka's own default
// partitioner computes it, over a recorded count, never over the topic's current
// one (hazard S22).
func Partition(key []byte, n int) int32 { return int32(murmur2(key)&0x7fffffff) % int32(n) }

// murmur2 is the hash of Kafka's Java client (org.apache.kafka.common.utils.Utils).
func murmur2(b []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(b))
	for len(b) >= 4 {
		k := uint32(b[3])<<24 + uint32(b[2])<<16 + uint32(b[1])<<8 + uint32(b[0])
		b = b[4:]
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
