const ADDRESS = /^rediss?:\/\/./;
/** Nothing, or the number of a database. */
const PATH = /^\/?$|^\/\d{1,9}$/;

export interface UrlParts {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** There with `rediss://`. */
  readonly tls?: object;
  readonly db: number;
}

/** Why a text is not the address of a Redis. Neither part of it shows the text: there may be a password in it. */
export interface UrlFault {
  readonly came: string;
  /** Nothing where an example says it all. */
  readonly fix?: string;
}

export function faultIn(url: string): UrlFault | undefined {
  if (!ADDRESS.test(url)) return { came: 'a text that begins otherwise' };
  const parts = parsed(url);
  if (parts === undefined) {
    return {
      came: 'one that is not valid',
      fix: 'see whether host and port are right, and percent-encode user and password, as encodeURIComponent does.',
    };
  }
  if (parts.hostname === '') return { came: 'one without a host' };
  // The client would let its parameters win over what we need.
  if (parts.search !== '' || parts.hash !== '') {
    return {
      came: 'one with a ? or a #',
      fix: 'leave out what follows it, and set options at a client; in user and password, percent-encode it, as encodeURIComponent does.',
    };
  }
  if (!PATH.test(parts.pathname)) {
    return {
      came: 'one whose path is not the number of a database',
      fix: 'write a number after the last /, or nothing; in user and password, percent-encode it, as encodeURIComponent does.',
    };
  }
  return undefined;
}

/** Of one without a fault. */
export function partsOf(url: string, defaultPort: number): UrlParts {
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? defaultPort : Number(port),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
    db: Number(pathname.slice(1)),
  };
}

function parsed(url: string): URL | undefined {
  try {
    const parts = new URL(url);
    decodeURIComponent(parts.username);
    decodeURIComponent(parts.password);
    return parts;
  } catch {
    // What was thrown has the text in it.
    return undefined;
  }
}
