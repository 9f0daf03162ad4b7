package peer

import "time"

// Expires is until when the certificate in use is valid. That is not the one in the file, if the file was
// changed and refused.
func (m *Mesh) Expires() time.Time { return m.identity.Load().pair.Leaf.NotAfter }
