// A second implementation of the operations, from DESIGN 3 to 6 alone: no code is shared with the
// registry, and nothing but Node's own modules is used. It makes an organisation and two passports, one
// per algorithm, changes them, and checks what the registry makes of them.
//
//   node opmaker.mjs http://127.0.0.1:7400 xz
//
// It prints {"provider":…,"passports":[…]} or throws.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { strictEqual, deepStrictEqual, ok } from 'node:assert'

const [base, country] = process.argv.slice(2)

// --- DESIGN 3, 4: names, keys, signatures ---

const b64 = (bytes) => Buffer.from(bytes).toString('base64url')
const sha256 = (bytes) => createHash('sha256').update(bytes).digest()

function base32(bytes) {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  let bits = 0, held = 0, text = ''
  for (const byte of bytes) {
    bits = (bits << 8) | byte
    for (held += 8; held >= 5; held -= 5) text += alphabet[(bits >> (held - 5)) & 31]
    bits &= (1 << held) - 1
  }
  return held > 0 ? text + alphabet[(bits << (5 - held)) & 31] : text
}

function base58(bytes) {
  const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  let n = BigInt('0x' + Buffer.from(bytes).toString('hex')), text = ''
  for (; n > 0n; n /= 58n) text = alphabet[Number(n % 58n)] + text
  return text // no codec begins with a zero byte
}

// An object is named by what was signed: multibase base32 of a sha2-256 multihash.
const nameOf = (signingInput) => 'b' + base32(Buffer.concat([Buffer.from([0x12, 0x20]), sha256(signingInput)]))

function newKey(alg) {
  const { privateKey, publicKey } = alg === 'Ed25519'
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  const x = Buffer.from(jwk.x, 'base64url')
  const raw = alg === 'Ed25519'
    ? Buffer.concat([Buffer.from([0xed, 0x01]), x])
    : Buffer.concat([Buffer.from([0x80, 0x24, 2 + (Buffer.from(jwk.y, 'base64url')[31] & 1)]), x])
  return { alg, privateKey, multikey: 'z' + base58(raw) }
}

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n // of P-256

function signature(key, input) {
  if (key.alg === 'Ed25519') return sign(null, input, key.privateKey)
  const raw = sign('sha256', input, { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  let s = BigInt('0x' + raw.subarray(32).toString('hex'))
  if (s > order / 2n) s = order - s
  return Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
}

function jws(key, kid, typ, payload) {
  const header = { alg: key.alg, kid, typ }
  const input = b64(JSON.stringify(header)) + '.' + b64(JSON.stringify(payload))
  return { text: input + '.' + b64(signature(key, Buffer.from(input))), name: nameOf(input) }
}

// --- DESIGN 5: operations and strands ---

function operation(key, payload, disclosures = []) {
  const { text, name } = jws(key, key.multikey, 'dcann-op+sd-jwt', payload)
  return { name, sdjwt: [text, ...disclosures.map((d) => d.text), ''].join('~') }
}

function disclosure(strand) {
  const text = b64(JSON.stringify([b64(randomBytes(16)), strand]))
  return { text, digest: b64(sha256(text)) }
}

function padded(disclosures) {
  const digests = disclosures.map((d) => d.digest)
  while (digests.length < 8) digests.push(b64(sha256(randomBytes(32))))
  return digests.sort().map((digest) => ({ '...': digest }))
}

const now = () => Math.floor(Date.now() / 1000)

// --- HTTP, DESIGN 12 ---

async function call(method, path, type, body) {
  const answer = await fetch(base + path, { method, body, headers: type ? { 'content-type': type } : {} })
  const text = await answer.text()
  let json
  try { json = JSON.parse(text) } catch { throw new Error(`${method} ${path}: ${answer.status}, no JSON: ${text.slice(0, 300)}`) }
  return { status: answer.status, type: answer.headers.get('content-type'), json }
}

async function submit(op, expected = 201) {
  const answer = await call('POST', '/v1/operations', 'application/sd-jwt', op.sdjwt)
  strictEqual(answer.status, expected, JSON.stringify(answer.json))
  return answer.json
}

// --- the story ---

async function makeProvider() {
  const key = newKey('Ed25519'), signing = newKey('ES256')
  const op = operation(key, {
    v: 1, act: 'create', country, seq: 0, iat: now(),
    record: {
      kind: 'organisation', rotation: [key.multikey],
      keys: [{ id: 'sign-1', key: signing.multikey, use: ['sign'] }],
      name: 'Vault made from the design', jurisdiction: country, roles: ['provider'],
      endpoints: [{ protocol: 'https://solidproject.org/TR/protocol', url: 'https://vault.example/' }],
    },
  })
  const { id } = await submit(op)
  strictEqual(id, `did:dcann:${country}:${op.name}`)
  return { id, signing }
}

async function makePassport(alg, provider) {
  const rotation = newKey(alg), grant = newKey(alg === 'Ed25519' ? 'ES256' : 'Ed25519')
  const purchases = disclosure({
    id: 'purchases', provider: provider.id, path: 's/8f3c', visibility: 'public',
    class: ['https://w3id.org/dpv/pd#PurchasesAndSpendingHabit'], tags: ['frequent-flyer'],
  })
  const record = {
    kind: 'passport', rotation: [rotation.multikey],
    keys: [{ id: 'grant-1', key: grant.multikey, use: ['grant'] }],
    strands: padded([purchases]),
  }
  const create = operation(rotation, { v: 1, act: 'create', country, seq: 0, iat: now(), record }, [purchases])
  const id = `did:dcann:${country}:${create.name}`
  const created = await submit(create)
  deepStrictEqual([created.id, created.op, created.seq], [id, create.name, 0])

  // The same operation again is the same operation; another one from the same place is a conflict.
  deepStrictEqual(await submit(create, 200), created)
  const stray = operation(rotation, { v: 1, act: 'deactivate', id, prev: nameOf('another'), seq: 1, iat: now() })
  const conflict = await call('POST', '/v1/operations', 'application/sd-jwt', stray.sdjwt)
  deepStrictEqual([conflict.status, conflict.json.head], [409, create.name])
  ok(conflict.type.startsWith('application/problem+json'), conflict.type)

  // A signature of somebody else is refused as such, and not before the rest was looked at.
  const forged = create.sdjwt.replace(/\.[^.~]+~/, '.' + b64(Buffer.alloc(64, 1)) + '~')
  const bad = await call('POST', '/v1/operations', 'application/sd-jwt', forged)
  ok(bad.status === 200 || bad.status === 403, `forged copy of a known operation: ${bad.status}`)

  const accept = jws(provider.signing, provider.id + '#sign-1', 'dcann-acceptance+jwt',
    { v: 1, iss: provider.id, sub: id, strand: purchases.digest, accepted: true, iat: now() })
  const accepted = await call('POST', '/v1/acceptances', 'application/jwt', accept.text)
  strictEqual(accepted.status, 201, JSON.stringify(accepted.json))

  // An update adds a key and a granted strand. The first disclosure is held and need not be sent again.
  const travel = disclosure({ id: 'travel', provider: provider.id, path: 's/8f3c/travel', visibility: 'granted' })
  const auth = newKey(alg)
  const next = {
    ...record,
    keys: [...record.keys, { id: 'auth-1', key: auth.multikey, use: ['auth'] }],
    strands: padded([purchases, travel]),
  }
  const update = operation(rotation, { v: 1, act: 'update', id, prev: create.name, seq: 1, iat: now(), record: next }, [travel])
  strictEqual((await submit(update)).seq, 1)
  return check(id, alg, update, next, purchases, { grant, auth })
}

async function check(id, alg, update, record, purchases, keys) {
  const { status, json } = await call('GET', `/v1/records/${id}`)
  strictEqual(status, 200)
  deepStrictEqual([json.id, json.kind, json.status, json.head, json.seq], [id, 'passport', 'active', update.name, 1])
  deepStrictEqual(json.record, record, 'the record is served as it was signed')
  deepStrictEqual(json.strands.map((s) => [s.id, s.digest, s.accepted]), [['purchases', purchases.digest, true]],
    'the public strand is shown, the granted one is not')

  const history = (await call('GET', `/v1/records/${id}/operations`)).json.operations
  deepStrictEqual(history.map((o) => [o.seq, o.undone]), [[0, false], [1, false]])
  strictEqual(history[1].operation, [update.sdjwt.split('~')[0], purchases.text, ''].join('~'),
    'with the disclosures of public strands that are held, without the granted one')

  const { json: resolution } = await call('GET', `/1.0/identifiers/${id}`)
  const methods = Object.fromEntries(resolution.didDocument.verificationMethod.map((m) => [m.id, m.publicKeyMultibase]))
  deepStrictEqual(methods, { [id + '#grant-1']: keys.grant.multikey, [id + '#auth-1']: keys.auth.multikey })
  return { id, alg, versionId: update.name }
}

const provider = await makeProvider()
const passports = []
for (const alg of ['Ed25519', 'ES256']) passports.push(await makePassport(alg, provider))
console.log(JSON.stringify({ provider: provider.id, passports }))
