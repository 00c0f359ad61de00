/** The least that a file of `deplsr train sr` has to say. */
export const SR = `name: a
scale: 2
datasets: {train: {dataroot_gt: gt, dataroot_lq: lq}}
network_g: {type: DAT, upscale: 2}
train: {optim_g: {lr: 1e-4}, scheduler: {type: MultiStepLR, milestones: [5]}, total_iter: 9}
`;
