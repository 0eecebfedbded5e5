package hash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// Formats that Stytch takes as they are: only their shape is checked, because a
// refused hash after the old password was deleted would lock a person out (hazard A7).

var bcryptShape = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$`)

func bcrypt(parts []string) (stytch.Fields, error) {
	m := bcryptShape.FindStringSubmatch(parts[0])
	if m == nil {
		return nil, errShape
	}
	if cost, err := strconv.Atoi(m[1]); err != nil || cost < 4 || cost > 31 {
		return nil, errors.New("its cost is outside 4 to 31")
	}
	return stytch.Fields{"hash": parts[0], "hash_type": "bcrypt"}, nil
}

var argonShape = regexp.MustCompile(`^\$argon2id?\$v=(\d+)\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

func argon2(typ string) func([]string) (stytch.Fields, error) {
	return func(parts []string) (stytch.Fields, error) {
		m := argonShape.FindStringSubmatch(parts[0])
		if m == nil {
			return nil, errShape
		}
		if m[1] != "19" {
			return nil, errors.New("its Argon2 version is not 19")
		}
		for _, n := range m[2:5] {
			if _, err := positive(n); err != nil {
				return nil, err
			}
		}
		for _, b := range m[5:] {
			if _, err := base64.RawStdEncoding.DecodeString(b); err != nil {
				return nil, errShape
			}
		}
		return stytch.Fields{"hash": parts[0], "hash_type": typ}, nil
	}
}

var phpassShape = regexp.MustCompile(`^\$[PH]\$[./0-9A-Za-z]{31}$`)

func phpass(parts []string) (stytch.Fields, error) {
	if !phpassShape.MatchString(parts[0]) {
		return nil, errShape
	}
	return stytch.Fields{"hash": parts[0], "hash_type": "phpass"}, nil
}

// positive reads a parameter: a number from 1 to 2^31-1.
func positive(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("one of its parameters is not a number from 1 to %d", 1<<31-1)
	}
	return int(n), nil
}
