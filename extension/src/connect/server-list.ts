/** The servers that the settings name: addresses, and nothing that is secret. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { normalAddress } from './address';

const KEY = 'servers';
/** The oldest are forgotten. */
const MOST = 20;

export class ServerList {
  constructor(
    /** Null in an app without settings. */
    private readonly _registry: ISettingRegistry | null,
    private readonly _plugin: string
  ) {}

  /** Their addresses, the one that was used last first. */
  async addresses(): Promise<string[]> {
    const servers = (await this._settings())?.composite[KEY];
    const addresses = Array.isArray(servers) ? servers.map(normalAddress) : [];
    return addresses.filter(address => address !== null);
  }

  /** The page has connected to this one. */
  async add(url: string): Promise<void> {
    const others = (await this.addresses()).filter(address => address !== url);
    await (await this._settings())?.set(KEY, [url, ...others].slice(0, MOST));
  }

  /** Loaded when they are needed first: a page that never connects does not ask for them. */
  private async _settings(): Promise<ISettingRegistry.ISettings | null> {
    this._loaded ??= this._registry?.load(this._plugin) ?? null;
    return this._loaded;
  }

  private _loaded: Promise<ISettingRegistry.ISettings> | null = null;
}
